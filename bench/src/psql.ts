import { execFile, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { StackError } from '@millrace/dev-stack';
import { benchDirectory } from './bench-stack.js';

// psql expands no variables inside \copy, so `:name:` is put in here.
function readScript(script: string, variables: Readonly<Record<string, string>>): string {
  const file = fileURLToPath(new URL(`../sql/${script}`, import.meta.url));
  let text = readFileSync(file, 'utf8');
  for (const [name, value] of Object.entries(variables)) text = text.replaceAll(`:${name}:`, value);
  return text;
}

/** Writes a script of `bench/sql` with its `:name:` variables put in, for `psql --file`; returns the path. */
export function writeScript(script: string, variables: Readonly<Record<string, string>>): string {
  const target = path.join(benchDirectory, script);
  writeFileSync(target, readScript(script, variables));
  return target;
}

/** Seconds that one psql connection needs for a script of `bench/sql`, with its `:name:` variables put in. */
export async function timePsql(
  url: string,
  script: string,
  variables: Readonly<Record<string, string>>,
): Promise<number> {
  const text = readScript(script, variables);
  const startedAt = performance.now();
  await new Promise<void>((resolve, reject) => {
    const psql = spawn('psql', ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', url], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let errors = '';
    psql.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    psql.on('error', () =>
      reject(
        new StackError(
          'psql was not found',
          'install the PostgreSQL client (Debian: apt-get install postgresql-client)',
        ),
      ),
    );
    psql.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${script} failed: ${errors}`))));
    psql.stdin.end(text);
  });
  return (performance.now() - startedAt) / 1000;
}

/** Seconds of a shell pipeline; it fails when any part of it fails. */
export async function timeShell(command: string, env: Readonly<Record<string, string>> = {}): Promise<number> {
  const startedAt = performance.now();
  await promisify(execFile)('bash', ['-o', 'pipefail', '-c', command], { env: { ...process.env, ...env } });
  return (performance.now() - startedAt) / 1000;
}

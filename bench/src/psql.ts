import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { StackError } from '@millrace/dev-stack';

/** Seconds that one psql connection needs for a script of `bench/sql`, with its `:name` variables set. */
export async function timePsql(url: string, script: string, variables: Readonly<Record<string, string>>): Promise<number> {
  const file = fileURLToPath(new URL(`../sql/${script}`, import.meta.url));
  // psql expands no variables inside \copy, so they are put in here.
  let text = readFileSync(file, 'utf8');
  for (const [name, value] of Object.entries(variables)) text = text.replaceAll(`:${name}:`, value);
  const startedAt = performance.now();
  await new Promise<void>((resolve, reject) => {
    const psql = spawn('psql', ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', url], { stdio: ['pipe', 'ignore', 'pipe'] });
    let errors = '';
    psql.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    psql.on('error', () => reject(new StackError('psql was not found', 'install the PostgreSQL client (Debian: apt-get install postgresql-client)')));
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

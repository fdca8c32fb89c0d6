#!/usr/bin/env node
// `pnpm check`: everything CI checks that is not a test. Runs all steps, then fails if any did.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bin = (name) => path.join(root, 'node_modules/.bin', name);

const steps = [
  { name: 'types', command: [bin('turbo'), 'run', 'build', 'typecheck', '--output-logs=errors-only'] },
  { name: 'lint', command: [bin('oxlint'), '-c', 'oxlint.config.mjs', '--type-aware', '--deny-warnings', '--quiet'] },
  { name: 'boundaries', command: [bin('turbo'), 'boundaries'] },
  { name: 'package rules', command: [process.execPath, 'infra/check/package-rules.mjs'] },
  { name: 'unused code', command: [bin('knip'), '--no-config-hints', '--no-progress'] },
  { name: 'formatting', command: [bin('prettier'), '--check', '--log-level=warn', '.'] },
  { name: 'schema drift', command: [process.execPath, 'packages/dev-stack/dist/cli/schema-drift.js'] },
];

const wanted = process.argv.slice(2);
const chosen = steps.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
if (chosen.length === 0) {
  console.error(`no such check; there are: ${steps.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const failed = [];
for (const { name, command } of chosen) {
  const begun = Date.now();
  process.stdout.write(`  ${name} …\n`);
  const { code, output } = await run(command);
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  console.log(`${code === 0 ? '✓' : '✗'} ${name} (${seconds} s)`);
  if (code !== 0) {
    failed.push(name);
    console.log(output.trimEnd());
  }
}
if (failed.length > 0) console.error(`\nnot passed: ${failed.join(', ')}; again alone: pnpm check "${failed[0]}"`);
process.exit(failed.length > 0 ? 1 : 0);

async function run([program, ...args]) {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1' };
  const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const code = await new Promise((resolve) => {
    child.once('error', (error) => {
      output += error.message;
      resolve(1);
    });
    child.once('close', resolve);
  });
  return { code, output };
}

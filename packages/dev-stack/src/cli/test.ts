import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '../services.js';
import { startStack } from '../stack.js';
import { Steps } from './console.js';
import { Shutdown } from './shutdown.js';
import { clearResults, readResults, resultsFile } from './test-results.js';

/** `npm test`: every package's tests against one throwaway stack, then the end-to-end tests. Resolves to the exit code. */
export async function test(directory: string, args: readonly string[]): Promise<number> {
  const shutdown = new Shutdown();
  const steps = new Steps();
  mkdirSync(directory, { recursive: true });
  steps.next('starting a throwaway stack for the tests');
  const stack = await startStack({
    directory: path.join(directory, 'test'),
    cacheDirectory: directory,
    env: {},
    throwaway: true,
  });
  shutdown.add(async () => {
    await stack.stop();
  });
  steps.done();

  const env = {
    ...process.env,
    MILLRACE_TEST_DATABASE_URL: stack.urls.database,
    MILLRACE_TEST_REDIS_URL: stack.urls.redis,
    MILLRACE_TEST_S3_ENDPOINT: stack.urls.s3,
    MILLRACE_TEST_KINESIS_ENDPOINT: stack.urls.kinesis,
    FORCE_COLOR: process.stdout.isTTY ? '1' : '0',
  };
  clearResults();
  // The end-to-end tests want the machine to themselves: they measure nothing, but they kill processes and wait.
  const clean = (await turboTest(['--filter=!./e2e', '--concurrency=2'], args, env)) && !shutdown.asked;
  const endToEnd = existsSync(path.join(repositoryRoot, 'e2e/package.json'));
  const endToEndClean = !endToEnd || shutdown.asked || (await turboTest(['--filter=./e2e'], args, env));

  await shutdown.run();
  const { passed, failed, skipped, problems } = readResults();
  for (const problem of problems) console.log(`✗ ${problem}`);
  if (!(clean && endToEndClean) && failed === 0)
    console.log('✗ a test command ended with an error although no test failed: see its output above');
  console.log(`Tests: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  return clean && endToEndClean && failed === 0 ? 0 : 1;
}

async function turboTest(
  selection: readonly string[],
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<boolean> {
  const turbo = path.join(repositoryRoot, 'node_modules/.bin/turbo');
  const jest = ['--json', `--outputFile=${resultsFile}`, '--passWithNoTests', ...args];
  const child = spawn(turbo, ['run', 'test', '--continue=always', '--log-order=stream', ...selection, '--', ...jest], {
    cwd: repositoryRoot,
    env,
    stdio: 'inherit',
  });
  return await new Promise((resolve) => {
    child.once('error', () => {
      resolve(false);
    });
    child.once('close', (code) => {
      resolve(code === 0);
    });
  });
}

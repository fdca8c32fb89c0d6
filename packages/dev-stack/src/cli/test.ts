import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '../services.js';
import { startStack } from '../stack.js';
import { Steps } from './console.js';
import { Shutdown } from './shutdown.js';
import { clearResults, failedFiles, readResults, resultsFile, secondResultsFile, totals } from './test-results.js';

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

  const explained = failedFiles(readResults()).length > 0;
  if (!shutdown.asked) await runFailedAgain(env);

  await shutdown.run();
  const { passed, failed, skipped, problems, unsteady } = totals(readResults());
  for (const line of unsteady) console.log(`~ unsteady, failed first and passed alone: ${line}`);
  for (const problem of problems) console.log(`✗ ${problem}`);
  const unexplained = !(clean && endToEndClean) && !explained;
  if (unexplained) console.log('✗ a test command ended with an error although no test failed: see its output above');
  console.log(`Tests: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 && !unexplained ? 0 : 1;
}

/** More failed files than this are no accident of a busy machine. */
const worthRepeating = 4;

/** Runs the files that failed once more, one package at a time: a test that needs a quiet machine is told from a defect. */
async function runFailedAgain(env: NodeJS.ProcessEnv): Promise<void> {
  const failed = failedFiles(readResults());
  const count = failed.reduce((sum, { files }) => sum + files.length, 0);
  if (count === 0 || count > worthRepeating) return;
  for (const { name, files } of failed) {
    console.log(`again, alone: ${name} ${files.map((file) => path.basename(file)).join(' ')}`);
    const folder = path.join(repositoryRoot, name);
    // Through the script, as in the first run: it is the package that knows how its jest is started.
    const args = ['--runInBand', '--json', `--outputFile=${secondResultsFile}`, '--runTestsByPath', ...files];
    await ended(
      spawn('npm', ['run', '--silent', 'test', '--', ...args], {
        cwd: folder,
        env,
        stdio: ['ignore', 'ignore', 'inherit'],
      }),
    );
  }
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
  return await ended(child);
}

/** Resolves to whether the program ended without an error. */
async function ended(child: ChildProcess): Promise<boolean> {
  return await new Promise((resolve) => {
    child.once('error', () => {
      resolve(false);
    });
    child.once('close', (code) => {
      resolve(code === 0);
    });
  });
}

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = fileURLToPath(new URL('../../', import.meta.url));
export const devDirectory = path.join(repositoryRoot, '.dev');

/** Something a person can put right: printed with the next step, without a stack trace. */
export class BootstrapError extends Error {
  constructor(message, nextStep) {
    super(message);
    this.nextStep = nextStep;
  }
}

/**
 * Runs one program as a step: its output goes to `.dev/logs/<log>.log`, its last line shows that it lives.
 * Throws a BootstrapError with the last lines, but those that match `noise`, when it fails.
 */
export async function runStep(title, log, command, args, { nextStep, noise }) {
  const logFile = path.join(devDirectory, 'logs', `${log}.log`);
  mkdirSync(path.dirname(logFile), { recursive: true });
  const output = createWriteStream(logFile);
  const progress = showProgress(title);
  const tail = [];
  const child = spawn(command, args, { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output.write(text);
      for (const line of text.split(/\r?\n/).filter((each) => each.trim() !== '')) {
        if (noise === undefined || !noise.test(line)) tail.push(line);
        progress.detail = line.trim().replace(/^• /, '');
      }
      tail.splice(0, Math.max(0, tail.length - 30));
    });
  }
  const ended = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : `it ended with ${signal ?? `code ${code}`}`),
    );
  });
  output.end();
  progress.end(ended === undefined);
  if (ended !== undefined) {
    throw new BootstrapError(
      `${title} failed: ${ended}\n  ${tail.join('\n  ')}\n`,
      (typeof nextStep === 'function' ? nextStep(tail) : nextStep) ?? `the whole output is in ${logFile}`,
    );
  }
}

/** One line per step: on a terminal it counts the seconds, elsewhere it says every two seconds that work goes on. */
function showProgress(title) {
  const begun = Date.now();
  const terminal = process.stdout.isTTY;
  const progress = {
    detail: '',
    end(succeeded) {
      clearInterval(timer);
      if (terminal) process.stdout.write('\r\u001b[2K');
      console.log(`${succeeded ? '✓' : '✗'} ${title} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
    },
  };
  const line = () => {
    const seconds = Math.round((Date.now() - begun) / 1000);
    return `  ${title} … ${seconds} s${progress.detail === '' ? '' : ` · ${progress.detail}`}`;
  };
  const timer = setInterval(
    () => {
      if (terminal) process.stdout.write(`\r\u001b[2K${line().slice(0, (process.stdout.columns ?? 80) - 1)}`);
      else console.log(line().slice(0, 160));
    },
    terminal ? 250 : 2000,
  );
  if (!terminal) console.log(`  ${title} …`);
  return progress;
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { serviceEnvironment, type ServiceName } from '@millrace/dev-stack';
import type { BenchStack } from './bench-stack.js';

/** One more process of a service, beside the one the stack runs. */
export interface AnotherProcess {
  readonly pid: number;
  /** Rejects when it ends before it is killed. */
  readonly ended: Promise<never>;
  kill(): void;
  /** How many lines of its log hold this text. */
  said(text: string): number;
}

/** Resolves when it says that it is up. */
export async function startAnother({ stack }: BenchStack, service: ServiceName): Promise<AnotherProcess> {
  const main = fileURLToPath(new URL(`../../apps/${service}/dist/main.js`, import.meta.url));
  const env = { ...serviceEnvironment(stack, service, 0), MILLRACE_LOG_LEVEL: 'info' };
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  // Ending is an event only before the kill: nobody looks afterwards.
  const ended = once(child, 'exit').then(() => {
    throw new Error(`the second ${service} ended by itself`);
  });
  ended.catch(() => undefined);
  const lines: string[] = [];
  const up = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      if (line.includes(`"${service} is up"`)) resolve();
    });
  });
  await Promise.race([ended, up]);
  return {
    pid: child.pid ?? 0,
    ended,
    kill: () => void child.kill('SIGKILL'),
    said: (text) => lines.filter((line) => line.includes(text)).length,
  };
}

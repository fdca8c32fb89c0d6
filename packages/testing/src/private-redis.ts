import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startStack } from '@millrace/dev-stack';

/** A Redis that one test file has for itself, to be killed. */
export interface PrivateRedis {
  readonly url: string;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again, empty, at the same address. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startPrivateRedis(): Promise<PrivateRedis> {
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-test-redis-'));
  const cacheDirectory = fileURLToPath(new URL('../../../.dev', import.meta.url));
  const stack = await startStack({ directory, cacheDirectory, needs: ['redis'], env: {}, throwaway: true });
  return {
    url: stack.urls.redis,
    kill: () => stack.supervisor.end('redis', 'SIGKILL'),
    start: async () => {
      await stack.supervisor.restart('redis');
    },
    stop: () => stack.stop(),
  };
}

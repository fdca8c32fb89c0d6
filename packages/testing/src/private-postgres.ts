import { chmodSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startStack } from '@millrace/dev-stack';
import pg from 'pg';
import { startStandby, type Standby } from './standby.js';
import { waitFor } from './wait-for.js';

/** A PostgreSQL that one test file has for itself, to be killed. */
export interface PrivatePostgres {
  /** Of its maintenance database: for `createTestDatabase`. */
  readonly url: string;
  /** SIGKILL for the server and every process of it, as when a machine runs out of memory. Resolves when all are gone. */
  crash(): Promise<void>;
  /** Starts it again after a crash; resolves when recovery has ended. */
  start(): Promise<void>;
  /** A streaming replica of it, stopped with it. One at a time. */
  startStandby(): Promise<Standby>;
  stop(): Promise<void>;
}

/** Starts a server of its own; what it commits survives its crash. */
export async function startPrivatePostgres(): Promise<PrivatePostgres> {
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-test-postgres-'));
  // Started by root, PostgreSQL runs as another user, who has to get in.
  chmodSync(directory, 0o711);
  const cacheDirectory = fileURLToPath(new URL('../../../.dev', import.meta.url));
  const stack = await startStack({ directory, cacheDirectory, needs: ['postgres'], env: {}, throwaway: true });
  const { supervisor } = stack;
  const url = stack.urls.database;
  const connected = async <T>(work: (client: pg.Client) => Promise<T>): Promise<T> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  };
  // Throwaway servers commit before the log is written; one that is to be killed must not.
  await connected((client) => client.query('ALTER ROLE CURRENT_USER SET synchronous_commit = on'));
  return {
    url,
    crash: async () => {
      const server = await connected(async (client) => {
        const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
        return parentOf(rows[0]?.pid ?? 0);
      });
      if (server === undefined) throw new Error('the server has no process of which its sessions are children');
      process.kill(server, 'SIGSTOP');
      const children = childrenOf(server);
      await supervisor.end('postgres', 'SIGKILL');
      for (const child of children) kill(child);
      await waitFor(
        () => Promise.resolve(children.every((child) => !isAlive(child))),
        30_000,
        'the end of all its processes',
      );
    },
    start: async () => {
      await supervisor.restart('postgres');
    },
    startStandby: () => startStandby(stack, url),
    stop: () => stack.stop(),
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The process's state and its parent, from /proc: the name in brackets may hold anything. */
function statOf(pid: number): { readonly state: string; readonly parent: number } | undefined {
  try {
    const [state = '', parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return { state, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

function parentOf(pid: number): number | undefined {
  return statOf(pid)?.parent;
}

function isAlive(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== 'Z';
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid);
}

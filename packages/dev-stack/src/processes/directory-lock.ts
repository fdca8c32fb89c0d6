import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StackError } from '../stack-error.js';
import { isRunning, type ProcessIdentity } from './process-identity.js';
import { ownIdentity, StateFile } from './stack-state.js';

/**
 * Keeps two runs out of one stack directory, from the first look at it to the last process ended.
 * The lock lies beside the directory, which may be deleted and made anew meanwhile. A dead holder's lock counts for nothing.
 */
export async function lockDirectory(directory: string): Promise<void> {
  const file = lockFile(directory);
  mkdirSync(path.dirname(file), { recursive: true });
  const own = ownIdentity();
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(own), { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = readHolder(file);
      if (holder !== undefined && isSame(holder, own)) return;
      if (holder !== undefined && isRunning(holder)) {
        throw new StackError(
          `Millrace already runs from ${directory} (process ${holder.pid}${apiOf(directory)})`,
          'use that one, or stop it with Ctrl-C in its terminal and start again',
        );
      }
      rmSync(file, { force: true });
      continue;
    }
    // Two runs that found the same dead lock may both have removed it: only the last writer's stays.
    await delay(20);
    const holder = readHolder(file);
    if (holder !== undefined && isSame(holder, own)) return;
  }
}

/** Gives the directory up, if it is this process's or a dead one's. */
export function unlockDirectory(directory: string): void {
  const holder = readHolder(lockFile(directory));
  if (holder === undefined || (isRunning(holder) && !isSame(holder, ownIdentity()))) return;
  rmSync(lockFile(directory), { force: true });
}

function apiOf(directory: string): string {
  const port = new StateFile(directory).read()?.processes.find(({ name }) => name === 'config-api')?.port;
  return port === undefined ? '' : `, API at http://127.0.0.1:${port}`;
}

function lockFile(directory: string): string {
  return `${path.resolve(directory)}.lock`;
}

function isSame(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.pid === b.pid && a.startedAt === b.startedAt;
}

function readHolder(file: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

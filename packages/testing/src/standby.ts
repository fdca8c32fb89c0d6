import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import type { Stack } from '@millrace/dev-stack';
import pg from 'pg';
import { waitFor } from './wait-for.js';

/** A streaming replica of a private PostgreSQL, made from a base backup of it. */
export interface Standby {
  /** The URL of the same database on the replica. */
  url(primary: string): string;
  /** Stops showing what the primary commits; goes on receiving it. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Nothing the primary commits arrives any more. */
  cutOff(): Promise<void>;
  /** Ends recovery: from here on it has a timeline of its own. Resolves when it takes writes. */
  promote(): Promise<void>;
}

/** @param primary URL of the maintenance database of a server of this stack, whose data folder this process can read. */
export async function startStandby({ supervisor, directory }: Stack, primary: string): Promise<Standby> {
  const data = path.join(directory, 'standby');
  const port = await freePort();
  const [source] = await query(
    primary,
    `SELECT current_setting('data_directory') AS data, current_setting('max_connections') AS connections`,
  );
  const from = String(source?.['data']);
  const owner = statSync(from);
  await takeBackup(primary, from, data, owner);
  const { username, password, port: primaryPort } = new URL(primary);
  const conninfo = `host=127.0.0.1 port=${primaryPort} user=${username} password=${decodeURIComponent(password)}`;
  appendFileSync(path.join(data, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`);
  writeOwned(path.join(data, 'standby.signal'), '', owner);

  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    max_connections: String(source?.['connections']),
    shared_buffers: '32MB',
    fsync: 'off',
    logging_collector: 'off',
  };
  const url = (of: string): string => {
    const moved = new URL(of);
    moved.port = String(port);
    return moved.href;
  };
  const here = url(primary);
  await supervisor.launch({
    name: 'standby',
    command: path.join(programsOf(from), 'postgres'),
    args: ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    cwd: data,
    runAs: process.getuid?.() === 0 ? { uid: owner.uid, gid: owner.gid } : undefined,
    port,
    stopSignal: 'SIGQUIT',
    readyWithinMs: 60_000,
    isReady: async () => {
      const rows = await query(here, 'SELECT 1').catch(() => []);
      return rows.length === 1;
    },
  });
  return {
    url,
    pause: async () => {
      await query(here, 'SELECT pg_wal_replay_pause()');
      const paused = async (): Promise<boolean> =>
        (await query(here, 'SELECT pg_get_wal_replay_pause_state() AS state'))[0]?.['state'] === 'paused';
      await waitFor(paused, 60_000, 'the replica to pause');
    },
    resume: async () => void (await query(here, 'SELECT pg_wal_replay_resume()')),
    cutOff: async () => {
      await query(here, `ALTER SYSTEM SET primary_conninfo = ''`);
      await query(here, 'SELECT pg_reload_conf()');
      const alone = async (): Promise<boolean> => (await query(here, 'SELECT FROM pg_stat_wal_receiver')).length === 0;
      await waitFor(alone, 60_000, 'the replica to stand alone');
    },
    promote: async () => {
      await query(here, 'SELECT pg_promote(true, 60)');
      const open = async (): Promise<boolean> =>
        (await query(here, 'SELECT pg_is_in_recovery() AS standby'))[0]?.['standby'] === false;
      await waitFor(open, 60_000, 'the end of recovery');
    },
  };
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * As https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP: files are copied while the
 * server runs, and the label says from where the log makes them whole. The log itself comes from the primary.
 */
async function takeBackup(primary: string, from: string, to: string, owner: Owner): Promise<void> {
  const client = new pg.Client({ connectionString: primary });
  await client.connect();
  try {
    await client.query(`SELECT pg_backup_start('standby', true)`);
    mkdirSync(to, { mode: 0o700 });
    const left = new Set(['postmaster.pid', 'postmaster.opts', 'pg_wal', 'pg_replslot', 'pg_stat_tmp']);
    cpSync(from, to, {
      recursive: true,
      preserveTimestamps: true,
      filter: (file) => !left.has(path.relative(from, file)) && existsSync(file),
    });
    for (const name of ['pg_wal', 'pg_wal/archive_status', 'pg_replslot', 'pg_stat_tmp'])
      mkdirSync(path.join(to, name), { recursive: true, mode: 0o700 });
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    writeFileSync(path.join(to, 'backup_label'), rows[0]?.labelfile ?? '');
  } finally {
    await client.end();
  }
  ownAll(to, owner);
}

function ownAll(directory: string, { uid, gid }: Owner): void {
  if (process.getuid?.() !== 0) return;
  chownSync(directory, uid, gid);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const target = path.join(directory, entry.name);
    if (entry.isDirectory()) ownAll(target, { uid, gid });
    else chownSync(target, uid, gid);
  }
}

function writeOwned(file: string, text: string, { uid, gid }: Owner): void {
  writeFileSync(file, text);
  if (process.getuid?.() === 0) chownSync(file, uid, gid);
}

/** The folder of the program that serves a data folder. */
function programsOf(data: string): string {
  const pid = readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0];
  return path.dirname(readlinkSync(`/proc/${pid}/exe`));
}

async function query(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

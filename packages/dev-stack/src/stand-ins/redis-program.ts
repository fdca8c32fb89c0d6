import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { StackError } from '../stack-error.js';

const run = promisify(execFile);

export interface RedisProgram {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
}

// What redis-server links against beyond what apt itself needs. Names differ between releases: those unknown are left out.
// prettier-ignore
const packages = [
  'redis-server', 'redis-tools', 'libatomic1', 'libjemalloc2', 'liblzf1', 'libsystemd0', 'libssl3', 'libssl3t64', 'liblua5.1-0', 'lua-bitop', 'lua-cjson',
];

/** A redis-server that runs: the one on PATH, or Debian's package unpacked into `cacheDirectory`; neither needs root. */
export async function findRedisProgram(cacheDirectory: string, say: (line: string) => void): Promise<RedisProgram> {
  const onPath = findOnPath('redis-server');
  return onPath === undefined ? await unpackRedis(cacheDirectory, say) : { command: onPath, env: {} };
}

/** Debian's redis-server from `cacheDirectory`, fetched and unpacked there the first time. */
export async function unpackRedis(cacheDirectory: string, say: (line: string) => void): Promise<RedisProgram> {
  const unpacked = path.join(cacheDirectory, 'redis-package');
  if (!existsSync(unpacked)) await unpack(unpacked, say);
  const program = programIn(unpacked);
  try {
    await run(program.command, ['--version'], { env: { ...process.env, ...program.env } });
  } catch (error) {
    throw new StackError(
      `the unpacked redis-server does not run on this machine: ${firstLine(error)}`,
      `${ownRedis}; then delete ${unpacked}`,
      { cause: error },
    );
  }
  return program;
}

const ownRedis =
  'install Redis (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis) or give the URL of one: MILLRACE_REDIS_URL=redis://host:6379';

function findOnPath(name: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const candidate = path.join(folder, name);
    if (folder !== '' && existsSync(candidate)) return candidate;
  }
  return undefined;
}

function programIn(root: string): RedisProgram {
  const libraries = ['usr/lib', 'lib'].flatMap((folder) => {
    const full = path.join(root, folder);
    if (!existsSync(full)) return [];
    return [
      full,
      ...readdirSync(full, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => path.join(full, entry.name)),
    ];
  });
  const inherited = process.env['LD_LIBRARY_PATH'];
  return {
    command: path.join(root, 'usr/bin/redis-server'),
    env: { LD_LIBRARY_PATH: [...libraries, ...(inherited ? [inherited] : [])].join(':') },
  };
}

async function unpack(target: string, say: (line: string) => void): Promise<void> {
  for (const tool of ['apt-get', 'apt-cache', 'dpkg']) {
    if (findOnPath(tool) === undefined)
      throw new StackError('Redis is missing and this is not a Debian system, whose package could be used', ownRedis);
  }
  say("Redis is missing: fetching Debian's package (nothing is installed, it stays in this folder)");
  const work = `${target}.new`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(path.join(work, 'debs'), { recursive: true });
  try {
    // Lists of a fresh machine are empty, and those of an old one name files that are gone: then ours are read anew.
    if (!(await isKnown('redis-server', [])) || !(await download([], work))) {
      say("reading Debian's package lists");
      const settings = privateAptSettings(path.join(work, 'apt'));
      await apt(['update', '-qq'], settings, work);
      await download(settings, work, true);
    }
    for (const file of readdirSync(path.join(work, 'debs')))
      await run('dpkg', ['-x', path.join(work, 'debs', file), path.join(work, 'root')]);
    renameSync(path.join(work, 'root'), target);
  } catch (error) {
    if (error instanceof StackError) throw error;
    throw new StackError(`Debian's Redis package could not be fetched: ${firstLine(error)}`, ownRedis, {
      cause: error,
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function download(settings: readonly string[], work: string, last = false): Promise<boolean> {
  try {
    await apt(['download', '-qq', ...(await existingPackages(settings))], settings, path.join(work, 'debs'));
    return true;
  } catch (error) {
    if (last) throw error;
    return false;
  }
}

function privateAptSettings(folder: string): readonly string[] {
  const [lists, cache] = [path.join(folder, 'lists'), path.join(folder, 'cache')];
  mkdirSync(path.join(lists, 'partial'), { recursive: true });
  mkdirSync(path.join(cache, 'archives', 'partial'), { recursive: true });
  // The sandbox user `_apt` may not reach this folder; as root it is switched off, otherwise it plays no part.
  return [
    '-o',
    `Dir::State::Lists=${lists}`,
    '-o',
    `Dir::Cache=${cache}`,
    '-o',
    'Debug::NoLocking=1',
    '-o',
    'APT::Sandbox::User=root',
  ];
}

async function existingPackages(settings: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of packages) if (await isKnown(name, settings)) found.push(name);
  return found;
}

async function isKnown(name: string, settings: readonly string[]): Promise<boolean> {
  try {
    const { stdout } = await run('apt-cache', [...settings, 'policy', name], { env: { ...process.env, LC_ALL: 'C' } });
    const candidate = /Candidate: (\S+)/.exec(stdout)?.[1];
    return candidate !== undefined && candidate !== '(none)';
  } catch {
    return false;
  }
}

async function apt(args: readonly string[], settings: readonly string[], cwd: string): Promise<void> {
  await run('apt-get', [...settings, '-o', 'Acquire::Retries=3', ...args], {
    cwd,
    env: { ...process.env, LC_ALL: 'C' },
    timeout: 180_000,
  });
}

function firstLine(error: unknown): string {
  const text =
    error instanceof Error ? ('stderr' in error && String(error.stderr).trim()) || error.message : String(error);
  return text.split('\n').find((line) => line.startsWith('E:')) ?? text.split('\n')[0] ?? text;
}

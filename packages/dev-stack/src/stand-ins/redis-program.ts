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

// What Debian's redis-server links against beyond libc and OpenSSL, which every Debian has.
const packages = ['redis-server', 'redis-tools', 'liblua5.1-0', 'lua-bitop', 'lua-cjson', 'libjemalloc2', 'libatomic1'];

/** A redis-server that runs: the one on PATH, or Debian's package unpacked into `cacheDirectory`; neither needs root. */
export async function findRedisProgram(cacheDirectory: string, say: (line: string) => void): Promise<RedisProgram> {
  const onPath = findOnPath('redis-server');
  if (onPath !== undefined && process.env['MILLRACE_REDIS_UNPACK'] !== '1') return { command: onPath, env: {} };

  const unpacked = path.join(cacheDirectory, 'redis-package');
  if (!existsSync(unpacked)) await unpack(unpacked, say);
  const program = programIn(unpacked);
  try {
    await run(program.command, ['--version'], { env: { ...process.env, ...program.env } });
  } catch (error) {
    throw new StackError(`the unpacked redis-server does not run on this machine: ${firstLine(error)}`, `${ownRedis}; then delete ${unpacked}`, { cause: error });
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
    return [full, ...readdirSync(full, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => path.join(full, entry.name))];
  });
  const inherited = process.env['LD_LIBRARY_PATH'];
  return {
    command: path.join(root, 'usr/bin/redis-server'),
    env: { LD_LIBRARY_PATH: [...libraries, ...(inherited ? [inherited] : [])].join(':') },
  };
}

async function unpack(target: string, say: (line: string) => void): Promise<void> {
  for (const tool of ['apt-get', 'apt-cache', 'dpkg']) {
    if (findOnPath(tool) === undefined) throw new StackError('Redis is missing and this is not a Debian system, whose package could be used', ownRedis);
  }
  say('Redis is missing: fetching Debian\'s package (nothing is installed, it stays in this folder)');
  const work = `${target}.new`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(path.join(work, 'debs'), { recursive: true });
  try {
    let settings = await systemAptSettings();
    if (settings === undefined) {
      say('reading Debian\'s package lists');
      settings = privateAptSettings(path.join(work, 'apt'));
      await apt(['update', '-qq'], settings, work);
    }
    await apt(['download', '-qq', ...(await existingPackages(settings))], settings, path.join(work, 'debs'));
    for (const file of readdirSync(path.join(work, 'debs'))) await run('dpkg', ['-x', path.join(work, 'debs', file), path.join(work, 'root')]);
    renameSync(path.join(work, 'root'), target);
  } catch (error) {
    if (error instanceof StackError) throw error;
    throw new StackError(`Debian's Redis package could not be fetched: ${firstLine(error)}`, ownRedis, { cause: error });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

// The system's own lists when they know redis-server; undefined on a fresh machine, whose lists are empty.
async function systemAptSettings(): Promise<readonly string[] | undefined> {
  return (await known('redis-server', [])) ? [] : undefined;
}

function privateAptSettings(folder: string): readonly string[] {
  const [lists, cache] = [path.join(folder, 'lists'), path.join(folder, 'cache')];
  mkdirSync(path.join(lists, 'partial'), { recursive: true });
  mkdirSync(path.join(cache, 'archives', 'partial'), { recursive: true });
  // The sandbox user `_apt` may not reach this folder; as root it is switched off, otherwise it plays no part.
  return ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`, '-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User=root'];
}

async function existingPackages(settings: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of packages) if (await known(name, settings)) found.push(name);
  return found;
}

async function known(name: string, settings: readonly string[]): Promise<boolean> {
  try {
    const { stdout } = await run('apt-cache', [...settings, 'policy', name], { env: { ...process.env, LC_ALL: 'C' } });
    const candidate = /Candidate: (\S+)/.exec(stdout)?.[1];
    return candidate !== undefined && candidate !== '(none)';
  } catch {
    return false;
  }
}

async function apt(args: readonly string[], settings: readonly string[], cwd: string): Promise<void> {
  await run('apt-get', [...settings, '-o', 'Acquire::Retries=3', ...args], { cwd, env: { ...process.env, LC_ALL: 'C' }, timeout: 180_000 });
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? (('stderr' in error && String(error.stderr).trim()) || error.message) : String(error);
  return text.split('\n').find((line) => line.startsWith('E:')) ?? text.split('\n')[0] ?? text;
}

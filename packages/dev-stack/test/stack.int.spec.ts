import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { askRedis, StackError, startStack } from '@millrace/dev-stack';

interface Recorded {
  readonly name: string;
  readonly pid: number;
  readonly port?: number;
}

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'millrace-stack-'));
  chmodSync(directory, 0o711);
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
  rmSync(`${directory}.lock`, { force: true });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await delay(20);
  }
}

function recorded(): readonly Recorded[] {
  return (JSON.parse(readFileSync(path.join(directory, 'stack.json'), 'utf8')) as { processes: Recorded[] }).processes;
}

/** A process that owns a stack and does nothing more. */
async function startOwner(): Promise<ChildProcess> {
  const owner = spawn(process.execPath, [fileURLToPath(new URL('own-stack.mjs', import.meta.url)), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    owner.stdout?.once('data', () => {
      resolve();
    });
    owner.once('exit', () => {
      reject(new Error('the owner ended early'));
    });
  });
  return owner;
}

async function kill(owner: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => owner.once('exit', resolve));
  owner.kill('SIGKILL');
  await gone;
}

describe('startStack', () => {
  it('starts all four, and stopping leaves no process and, when throwaway, no file', async () => {
    const stack = await startStack({ directory, env: {}, throwaway: true });
    expect(stack.started).toEqual(['postgres', 'redis', 's3', 'kinesis']);
    expect(await askRedis(Number(new URL(stack.urls.redis).port), 'PING')).toBe('+PONG');
    const processes = recorded();
    expect(processes.map(({ name }) => name)).toEqual(['postgres', 'redis', 's3', 'kinesis']);
    await stack.stop();
    expect(processes.filter(({ pid }) => isAlive(pid))).toEqual([]);
    expect(existsSync(directory)).toBe(false);
  });

  it('takes a given URL instead of starting its own', async () => {
    const env = { MILLRACE_REDIS_URL: 'redis://elsewhere:6379' };
    const stack = await startStack({ directory, env, needs: ['redis', 's3'], throwaway: true });
    expect(stack.started).toEqual(['s3']);
    expect(stack.urls.redis).toBe('redis://elsewhere:6379');
    await stack.stop();
  });

  it('moves to a free port when the preferred one is taken', async () => {
    const squatter = createServer();
    const port = await new Promise<number>((resolve) => {
      squatter.listen(0, '127.0.0.1', () => {
        const address = squatter.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    const stack = await startStack({
      directory,
      env: {},
      needs: ['s3'],
      preferredPorts: { s3: port },
      throwaway: true,
    });
    expect(new URL(stack.urls.s3).port).not.toBe(String(port));
    await stack.stop();
    squatter.close();
  });

  it('refuses a directory that another run owns, and names that run', async () => {
    const owner = await startOwner();
    const second = startStack({ directory, env: {}, needs: ['redis'] });
    await expect(second).rejects.toThrow(StackError);
    await expect(second).rejects.toThrow(`process ${owner.pid}`);
    await kill(owner);
    await until('the watchdog has cleaned up', () => recorded().length === 0);
  });

  it('ends its processes when its owner is killed', async () => {
    const owner = await startOwner();
    const processes = recorded();
    expect(processes.length).toBeGreaterThan(0);
    await kill(owner);
    await until('they have ended', () => processes.every(({ pid }) => !isAlive(pid)));
    await until('the directory is free again', () => !existsSync(`${directory}.lock`));
  });

  it('ends what a run without owner and watchdog left behind, and goes on with its data and ports', async () => {
    const owner = await startOwner();
    const leftovers = recorded();
    process.kill(watchdogOf(owner), 'SIGKILL');
    await kill(owner);
    expect(leftovers.every(({ pid }) => isAlive(pid))).toBe(true);
    const said: string[] = [];
    const stack = await startStack({
      directory,
      env: {},
      needs: ['postgres', 'redis'],
      say: (line) => said.push(line),
    });
    expect(said[0]).toBe('ended what an earlier run had left: postgres, redis');
    expect(leftovers.some(({ pid }) => isAlive(pid))).toBe(false);
    expect(recorded().map(({ port }) => port)).toEqual(leftovers.map(({ port }) => port));
    await stack.stop();
  });

  it('leaves a process alone that only bears a recorded id', async () => {
    const bystander = spawn('sleep', ['60']);
    const process1 = { name: 'redis', pid: bystander.pid, startedAt: 'long ago', stopSignal: 'SIGTERM', graceMs: 1000 };
    const owner = { pid: bystander.pid, startedAt: 'long ago' };
    const state = { version: 1, owner, processes: [process1], ports: {}, deleteWhenStopped: [] };
    writeFileSync(path.join(directory, 'stack.json'), JSON.stringify(state));
    const stack = await startStack({ directory, env: {}, needs: ['s3'] });
    await stack.stop();
    expect(bystander.exitCode).toBeNull();
    expect(isAlive(bystander.pid ?? 0)).toBe(true);
    bystander.kill('SIGKILL');
  });

  it('restarts Redis empty', async () => {
    const stack = await startStack({ directory, env: {}, needs: ['redis'], throwaway: true });
    const port = Number(new URL(stack.urls.redis).port);
    await askRedis(port, 'SET key value');
    await stack.restart('redis', 'SIGKILL');
    expect(await askRedis(port, 'GET key')).toBe('$-1');
    await stack.stop();
  });
});

function watchdogOf(owner: ChildProcess): number {
  const children = readFileSync(`/proc/${owner.pid}/task/${owner.pid}/children`, 'utf8').trim().split(' ').map(Number);
  const found = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('watchdog.js'));
  if (found === undefined) throw new Error('the owner has no watchdog');
  return found;
}

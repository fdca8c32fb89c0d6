import { connect } from 'node:net';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Managed, Supervisor } from '../processes/supervisor.js';
import { findRedisProgram } from './redis-program.js';

/** Starts Redis on the loopback interface, without persistence: PostgreSQL remembers, Redis only wakes. */
export async function startRedis(
  supervisor: Supervisor,
  port: number,
  cacheDirectory: string,
  say: (line: string) => void,
): Promise<{ managed: Managed; url: string }> {
  const program = await findRedisProgram(cacheDirectory, say);
  const directory = path.join(supervisor.directory, 'redis');
  mkdirSync(directory, { recursive: true });
  const settings = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    directory,
    '--save',
    '',
    '--appendonly',
    'no',
    '--databases',
    '512',
  ];
  const managed = await supervisor.launch({
    name: 'redis',
    command: program.command,
    args: settings,
    env: { ...process.env, ...program.env },
    port,
    isReady: async () => (await ask(port, 'PING').catch(() => '')) === '+PONG',
  });
  return { managed, url: `redis://127.0.0.1:${port}` };
}

/** Sends one inline command and resolves with the first line of the answer. */
export async function ask(port: number, command: string, host = '127.0.0.1'): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect({ port, host, timeout: 2000 });
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('error', reject);
    socket.on('timeout', () => socket.destroy(new Error('Redis did not answer')));
    socket.on('connect', () => socket.write(`${command}\r\n`));
    socket.on('data', (text: string) => {
      answer += text;
      const end = answer.indexOf('\r\n');
      if (end < 0) return;
      socket.destroy();
      resolve(answer.slice(0, end));
    });
    socket.on('close', () => {
      reject(new Error('Redis closed the connection'));
    });
  });
}

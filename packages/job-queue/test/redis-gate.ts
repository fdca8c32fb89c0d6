import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { askRedis } from '@millrace/dev-stack';
import { testRedisUrl } from '@millrace/testing';

/** A door in front of a Redis of its own: closed, nobody can connect; it can be reopened with an empty Redis behind it. */
export interface RedisGate {
  readonly url: string;
  open(): Promise<void>;
  close(): Promise<void>;
  /** Forgets every key and script. */
  empty(): Promise<void>;
  keys(): Promise<number>;
}

export async function redisGate(): Promise<RedisGate> {
  const target = new URL(await testRedisUrl());
  const database = target.pathname.slice(1);
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  const port = await freePort();
  const ask = (command: string): Promise<string> => askRedis(Number(target.port), command, target.hostname);
  return {
    url: `redis://127.0.0.1:${port}/${database}`,
    async open() {
      server = createServer((socket) => {
        const upstream = connect(Number(target.port), target.hostname);
        sockets.add(socket).add(upstream);
        socket.pipe(upstream).pipe(socket);
        socket.on('error', () => upstream.destroy());
        upstream.on('error', () => socket.destroy());
        socket.on('close', () => upstream.destroy());
        upstream.on('close', () => socket.destroy());
      });
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    async close() {
      server?.close();
      server = undefined;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    async empty() {
      await ask(`EVAL "redis.call('SELECT', ARGV[1]); return redis.call('FLUSHDB')" 0 ${database}`);
      await ask('SCRIPT FLUSH');
    },
    async keys() {
      return Number(
        (await ask(`EVAL "redis.call('SELECT', ARGV[1]); return redis.call('DBSIZE')" 0 ${database}`)).slice(1),
      );
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

import { createServer } from 'node:net';
import { StackError } from '../stack-error.js';

/** True when nothing listens on the port of the loopback interface. */
export async function isFree(port: number): Promise<boolean> {
  return (await tryListen(port)) !== undefined;
}

/**
 * A port to listen on: the first of `preferred` that is free, else any free one.
 * With `fixed`, the preferred port or a `StackError` that says who to ask.
 */
export async function choosePort(name: string, preferred: readonly number[], fixed = false): Promise<number> {
  for (const port of preferred) {
    if (await isFree(port)) return port;
    if (fixed) {
      throw new StackError(
        `port ${port}, asked for by ${name}, is taken by another program`,
        `stop that program (\`lsof -i :${port}\` shows it) or choose another port`,
      );
    }
  }
  const port = await tryListen(0);
  if (port === undefined)
    throw new StackError(`no port is free for ${name}`, 'close programs that hold many ports open, then try again');
  return port;
}

async function tryListen(port: number): Promise<number | undefined> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' ? address?.port : undefined);
      });
    });
  });
}

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from 'node:net';
import type { Managed, Supervisor } from '../processes/supervisor.js';

/** The key pair s3rver knows; it refuses every other key id. Kinesis's stand-in takes any. */
export const standInCredentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' } as const;

/** s3rver, its buckets in `<stack>/s3`. */
export async function startS3(supervisor: Supervisor, port: number): Promise<{ managed: Managed; url: string }> {
  return await startNode(supervisor, 's3', './s3-server.js', port, [path.join(supervisor.directory, 's3')]);
}

/** kinesalite; with `persistent` its streams outlive it in `<stack>/kinesis`. */
export async function startKinesis(
  supervisor: Supervisor,
  port: number,
  persistent: boolean,
): Promise<{ managed: Managed; url: string }> {
  return await startNode(
    supervisor,
    'kinesis',
    './kinesis-server.js',
    port,
    persistent ? [path.join(supervisor.directory, 'kinesis')] : [],
  );
}

async function startNode(
  supervisor: Supervisor,
  name: string,
  script: string,
  port: number,
  args: readonly string[],
): Promise<{ managed: Managed; url: string }> {
  const managed = await supervisor.launch({
    name,
    command: process.execPath,
    args: ['--no-warnings', fileURLToPath(new URL(script, import.meta.url)), String(port), ...args],
    port,
    graceMs: 3000,
    isReady: async () => await accepts(port),
  });
  return { managed, url: `http://127.0.0.1:${port}` };
}

/** Whether something accepts connections on the port of the loopback interface. */
async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

// The S3 stand-in, in a process of its own: s3-server.js <port> <directory> [address]
import { mkdirSync } from 'node:fs';
import S3rver from 's3rver';
import { completeS3rver } from './s3-completions.js';

const [port, directory, address = '127.0.0.1'] = [Number(process.argv[2]), process.argv[3], process.argv[4]];
if (!Number.isInteger(port) || directory === undefined)
  throw new Error('usage: s3-server.js <port> <directory> [address]');
mkdirSync(directory, { recursive: true });

const server = new S3rver({ port, address, directory, silent: true, vhostBuckets: false });
completeS3rver(server);
await server.run();
// Keep connections that pooled clients hold between requests; Node's five seconds race with their reuse.
server.httpServer.keepAliveTimeout = 75_000;

process.on('SIGTERM', () => process.exit(0));

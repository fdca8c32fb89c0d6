import { randomBytes } from 'node:crypto';
import { askRedis, BucketClient, StreamClient } from '@millrace/dev-stack';
import { awsAccess, testUrl } from './environment.js';

const redisDatabases = 512;

/** A Redis database that no other test file uses, emptied. Number 0 hands out the numbers. */
export async function testRedisUrl(): Promise<string> {
  const url = new URL(testUrl('redis'));
  const port = Number(url.port || 6379);
  const counter = await askRedis(port, 'INCR millrace:test:databases', url.hostname);
  const number = (Number(counter.slice(1)) % (redisDatabases - 1)) + 1;
  const answer = await askRedis(
    port,
    `EVAL "redis.call('SELECT', ARGV[1]); return redis.call('FLUSHDB')" 0 ${number}`,
    url.hostname,
  );
  if (!answer.startsWith('+OK')) throw new Error(`Redis database ${number} cannot be emptied: ${answer}`);
  url.pathname = `/${number}`;
  return url.href;
}

/** A new bucket and a client for it that does not pass through object-store. */
export async function createTestBucket(
  prefix = 'test',
): Promise<{ readonly bucket: string; readonly client: BucketClient }> {
  const client = new BucketClient(awsAccess('s3'));
  const bucket = uniqueName(prefix);
  await client.createBucket(bucket);
  return { bucket, client };
}

/** A new active stream and a client for it that does not pass through event-stream. */
export async function createTestStream(
  prefix = 'test',
  shards = 1,
): Promise<{ readonly stream: string; readonly client: StreamClient }> {
  const client = new StreamClient(awsAccess('kinesis'));
  const stream = uniqueName(prefix);
  await client.ensureStream(stream, shards);
  return { stream, client };
}

function uniqueName(prefix: string): string {
  return `${prefix
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)}-${randomBytes(5).toString('hex')}`;
}

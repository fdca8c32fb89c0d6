import { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { openS3Session } from './s3-session.js';

/** The request as it would go out, signed. */
async function requestOf(
  command: UploadPartCommand | PutObjectCommand,
  endpoint?: string,
): Promise<{ hostname: string; path: string; headers: Record<string, string> }> {
  const { client } = openS3Session({
    region: 'eu-west-1',
    endpoint,
    credentials: { kind: 'access-key', accessKeyId: 'A', secretAccessKey: 'B' },
  });
  let sent: unknown;
  client.middlewareStack.add(
    () => async (args) => {
      sent = args.request;
      throw new Error('not sent');
    },
    { step: 'finalizeRequest', priority: 'low', name: 'capture' },
  );
  await expect(client.send(command as PutObjectCommand)).rejects.toThrow('not sent');
  client.destroy();
  return sent as { hostname: string; path: string; headers: Record<string, string> };
}

const Body = Buffer.from('a part');
const part = () =>
  new UploadPartCommand({
    Bucket: 'exports',
    Key: 'a b.csv',
    UploadId: 'u',
    PartNumber: 1,
    Body,
    ContentLength: Body.length,
  });

describe('requests to S3', () => {
  it('does not hash a part to sign it within TLS', async () => {
    expect((await requestOf(part())).headers['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
  });

  it('signs a part over plain HTTP, and small objects always', async () => {
    expect((await requestOf(part(), 'http://localhost:9000')).headers['x-amz-content-sha256']).toMatch(
      /^[0-9a-f]{64}$/,
    );
    const small = new PutObjectCommand({ Bucket: 'exports', Key: 'manifest.json', Body });
    expect((await requestOf(small)).headers['x-amz-content-sha256']).toMatch(/^[0-9a-f]{64}$/);
  });

  it('adds no checksum and waits for no permission to send', async () => {
    const names = Object.keys((await requestOf(part())).headers).map((name) => name.toLowerCase());
    expect(names.filter((name) => name.includes('checksum') || name === 'expect')).toEqual([]);
  });

  it('addresses the bucket by host name at AWS, by path at another endpoint', async () => {
    expect(await requestOf(part())).toMatchObject({
      hostname: 'exports.s3.eu-west-1.amazonaws.com',
      path: '/a%20b.csv',
    });
    expect(await requestOf(part(), 'http://localhost:9000')).toMatchObject({
      hostname: 'localhost',
      path: '/exports/a%20b.csv',
    });
  });

  it('leaves no warning about the version of Node', async () => {
    expect(process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED']).toBe('true');
  });
});

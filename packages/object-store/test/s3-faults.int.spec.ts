import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { InputError, TransientError } from '@millrace/domain';
import { awsAccess, createTestBucket, FaultProxy, waitFor, type Fault, type SeenRequest } from '@millrace/testing';
import { collect, sha256, toArray } from '../src/object-store.contract.js';
import type { ObjectStore } from '../src/object-store.js';
import { createS3ObjectStore, type S3ObjectStoreOptions } from '../src/s3-object-store.js';

const partBytes = 128 * 1024;
const attempts = 3;

let proxy: FaultProxy;
let store: ObjectStore;
let bucket: string;
let serial = 0;

function options(changes: Partial<S3ObjectStoreOptions> = {}): S3ObjectStoreOptions {
  const { region, accessKeyId, secretAccessKey } = awsAccess('s3');
  return {
    endpoint: proxy.url,
    region,
    credentials: { kind: 'access-key', accessKeyId, secretAccessKey },
    retry: { attempts, firstDelayMs: 1, maxDelayMs: 5 },
    smallestPartBytes: partBytes,
    idleTimeoutMs: 400,
    ...changes,
  };
}

beforeAll(async () => {
  proxy = await FaultProxy.start(awsAccess('s3').endpoint);
  store = createS3ObjectStore(options());
  ({ bucket } = await createTestBucket('faults'));
});
beforeEach(() => {
  proxy.clear();
  serial += 1;
});
afterAll(async () => {
  store.close();
  await proxy.stop();
});

const newKey = () => `object-${serial}.bin`;

function refusal(status: number, code: string, extra = ''): Fault {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>planted</Message>${extra}</Error>`;
  return { kind: 'status', status, body, headers: { 'content-type': 'application/xml' } };
}

const isPart = ({ method, path }: SeenRequest) => method === 'PUT' && path.includes('partNumber=');
const isComplete = ({ method, path }: SeenRequest) => method === 'POST' && path.includes('uploadId=');
const isAbort = ({ method, path }: SeenRequest) => method === 'DELETE' && path.includes('uploadId=');
const isListing = ({ path }: SeenRequest) => path.includes('list-type=2');
const isHead = ({ method }: SeenRequest) => method === 'HEAD';
const isGet = ({ method, path }: SeenRequest) =>
  method === 'GET' && path.includes('.bin') && !path.includes('uploadId');

async function stored(key: string, content: Buffer): Promise<void> {
  await put(key, content);
  proxy.clear();
}

async function put(key: string, content: Buffer): Promise<void> {
  const upload = await store.startUpload(bucket, key);
  await upload.write(Readable.from([content]));
  await upload.complete();
}

describe('writing to S3, when things go wrong', () => {
  it.each([
    ['an internal error', refusal(500, 'InternalError')],
    ['a request to slow down', refusal(503, 'SlowDown')],
    ['a reset connection', { kind: 'reset' }],
    ['a lost answer', { kind: 'lose-answer' }],
  ] satisfies [string, Fault][])('sends a part again after %s, counting its bytes once', async (_what, fault) => {
    const content = randomBytes(partBytes * 3 + 10);
    proxy.inject({ when: isPart, fault, skip: 1, times: 1 });
    const upload = await store.startUpload(bucket, newKey());
    const summary = await upload.write(Readable.from([content]));
    await upload.complete();
    expect(summary).toMatchObject({ bytes: content.length, sha256: sha256(content), parts: 4 });
    expect(proxy.seen.filter(isPart).length).toBe(5);
    expect(sha256(await collect(await store.read(bucket, newKey())))).toBe(summary.sha256);
  });

  it('gives up on a part that keeps failing, stops its source, and leaves nothing after an abort', async () => {
    proxy.inject({ when: isPart, fault: refusal(503, 'SlowDown'), times: 99 });
    const source = endless();
    const upload = await store.startUpload(bucket, newKey());
    await expect(upload.write(source)).rejects.toMatchObject({
      name: 'TransientError',
      code: 'object-store-unavailable',
    });
    expect(source.destroyed).toBe(true);
    await expect(upload.complete()).rejects.toThrow('only an upload whose source was read to its end');
    await upload.abort();
    expect(await toArray(store.listUploads(bucket, newKey()))).toEqual([]);
  });

  it('has three parts of the usual size on their way at a time', async () => {
    const arrivals: number[] = [];
    const arrives = (request: SeenRequest) => isPart(request) && arrivals.push(performance.now()) > 0;
    proxy.inject({ when: arrives, fault: { kind: 'delay', ms: 100 }, times: 99 });
    const upload = await store.startUpload(bucket, newKey());
    await upload.write(Readable.from([randomBytes(partBytes * 6)]));
    await upload.abort();
    const after = arrivals.map((time) => time - (arrivals[0] ?? 0));
    expect(after[2]).toBeLessThan(95);
    expect(after[3]).toBeGreaterThan(95);
  });

  it.each([
    ['an internal error', { kind: 'rewrite', status: 500, body: () => '<Error><Code>InternalError</Code></Error>' }],
    [
      'an error behind a 200',
      {
        kind: 'rewrite',
        body: () => '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>x</Message></Error>',
      },
    ],
    ['a lost answer', { kind: 'lose-answer' }],
  ] satisfies [string, Fault][])(
    'recognises a completion that took effect although it was answered with %s',
    async (_what, fault) => {
      const content = randomBytes(partBytes + 1);
      const upload = await store.startUpload(bucket, newKey());
      await upload.write(Readable.from([content]));
      proxy.inject({ when: isComplete, fault });
      await upload.complete();
      expect(proxy.seen.filter(isComplete).length).toBe(1);
      expect(sha256(await collect(await store.read(bucket, newKey())))).toBe(sha256(content));
    },
  );

  it('recognises its completion in the listing where HEAD is not allowed', async () => {
    const content = randomBytes(partBytes + 1);
    const upload = await store.startUpload(bucket, newKey());
    await upload.write(Readable.from([content]));
    proxy.inject({ when: isComplete, fault: { kind: 'lose-answer' } });
    proxy.inject({ when: isHead, fault: { kind: 'status', status: 403 }, times: 9 });
    // As S3 answers; the stand-in has the MD5 of the whole content instead.
    const etag = `${md5(Buffer.concat([content.subarray(0, partBytes), content.subarray(partBytes)].map((part) => Buffer.from(md5(part), 'hex'))))}-2`;
    proxy.inject({
      when: isListing,
      fault: { kind: 'rewrite', body: (body) => body.replace(/<ETag>.*?<\/ETag>/, `<ETag>&quot;${etag}&quot;</ETag>`) },
    });
    await upload.complete();
    expect(proxy.seen.filter(isComplete).length).toBe(1);
  });

  it('does not take another upload to the same key for its own', async () => {
    const upload = await store.startUpload(bucket, newKey());
    await upload.write(Readable.from([Buffer.from('mine')]));
    const other = await store.startUpload(bucket, newKey());
    await other.write(Readable.from([Buffer.from('theirs')]));
    await other.complete();
    proxy.inject({ when: isComplete, fault: refusal(404, 'NoSuchUpload'), times: 9 });
    await expect(upload.complete()).rejects.toMatchObject({ name: 'TransientError', code: 'upload-lost' });
  });

  it('completes again when the first try had no effect', async () => {
    const upload = await store.startUpload(bucket, newKey());
    await upload.write(Readable.from([Buffer.from('x')]));
    proxy.inject({ when: isComplete, fault: refusal(500, 'InternalError'), times: 2 });
    await upload.complete();
    expect(proxy.seen.filter(isComplete).length).toBe(3);
    expect(await store.head(bucket, newKey())).toMatchObject({ size: 1 });
  });

  it('waits for parts on their way before it aborts', async () => {
    proxy.inject({ when: isPart, fault: { kind: 'delay', ms: 200 }, times: 9 });
    const upload = await store.startUpload(bucket, newKey());
    const source = endless();
    const writing = upload.write(source).catch(() => 'stopped');
    await seen(isPart);
    await upload.abort();
    expect(await writing).toBe('stopped');
    expect(await toArray(store.listUploads(bucket, newKey()))).toEqual([]);
  });

  it('aborts again as long as parts are left', async () => {
    const upload = await store.startUpload(bucket, newKey());
    await upload.write(Readable.from([Buffer.from('x')]));
    // The first abort is answered, but not carried out.
    proxy.inject({ when: isAbort, fault: { kind: 'status', status: 204 } });
    await upload.abort();
    expect(proxy.seen.filter(isAbort).length).toBe(2);
    expect(await toArray(store.listUploads(bucket, newKey()))).toEqual([]);
  });

  it('says when an abort did not succeed, and succeeds later', async () => {
    const upload = await store.startUpload(bucket, newKey());
    proxy.inject({ when: isAbort, fault: refusal(503, 'SlowDown'), times: attempts });
    await expect(upload.abort()).rejects.toBeInstanceOf(TransientError);
    await upload.abort();
    expect(await toArray(store.listUploads(bucket, newKey()))).toEqual([]);
  });
});

describe('reading from S3, when things go wrong', () => {
  it('goes on where the connection broke, on the same object', async () => {
    const content = randomBytes(1_500_000);
    await stored(newKey(), content);
    proxy.inject({ when: isGet, fault: { kind: 'truncate', afterBytes: 400_000 }, times: 2 });
    expect(sha256(await collect(await store.read(bucket, newKey())))).toBe(sha256(content));
    const gets = proxy.seen.filter(isGet);
    expect(gets.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=400000-', 'bytes=800000-']);
    expect(gets.map(({ headers }) => headers['if-match'])).toEqual([
      undefined,
      `"${md5(content)}"`,
      `"${md5(content)}"`,
    ]);
  });

  it('goes on from its own offset', async () => {
    const content = randomBytes(500_000);
    await stored(newKey(), content);
    proxy.inject({ when: isGet, fault: { kind: 'truncate', afterBytes: 100_000 } });
    const rest = await collect(await store.read(bucket, newKey(), { offset: 50_000 }));
    expect(sha256(rest)).toBe(sha256(content.subarray(50_000)));
    expect(proxy.seen.filter(isGet).map(({ headers }) => headers.range)).toEqual(['bytes=50000-', 'bytes=150000-']);
  });

  it('mends as often as it takes while bytes arrive, and gives up when none do', async () => {
    await stored(newKey(), randomBytes(1_000_000));
    proxy.inject({ when: isGet, fault: { kind: 'truncate', afterBytes: 100_000 }, times: 6 });
    expect((await collect(await store.read(bucket, newKey()))).length).toBe(1_000_000);
    proxy.clear();
    proxy.inject({ when: isGet, fault: { kind: 'truncate', afterBytes: 10 }, times: 99 });
    await expect(collect(await store.read(bucket, newKey()))).rejects.toMatchObject({
      name: 'TransientError',
      message: expect.stringContaining(`the connection broke ${attempts} times`),
    });
  });

  it('fails when the object was replaced between two connections', async () => {
    await stored(newKey(), randomBytes(1_000_000));
    proxy.inject({ when: isGet, fault: { kind: 'truncate', afterBytes: 300_000 } });
    const stream = await store.read(bucket, newKey());
    await collectSome(stream);
    await put(newKey(), randomBytes(1_000_000));
    await expect(collect(stream)).rejects.toMatchObject({ name: 'InputError', code: 'object-changed' });
  });

  it('fails when the object was replaced and the service does not heed If-Match', async () => {
    await stored(newKey(), randomBytes(1_000_000));
    proxy.inject({ when: isGet, fault: { kind: 'truncate', afterBytes: 300_000 } });
    const stream = await store.read(bucket, newKey());
    await collectSome(stream);
    const other = 'another object'.padEnd(700_000);
    proxy.inject({
      when: isGet,
      fault: {
        kind: 'status',
        status: 206,
        body: other,
        headers: { etag: '"other"', 'content-length': '700000', 'content-range': 'bytes 300000-999999/1000000' },
      },
    });
    await expect(collect(stream)).rejects.toMatchObject({ name: 'InputError', code: 'object-changed' });
  });

  it('fails when the object was deleted meanwhile', async () => {
    await stored(newKey(), randomBytes(1_000_000));
    proxy.inject({ when: isGet, fault: { kind: 'truncate', afterBytes: 300_000 } });
    const stream = await store.read(bucket, newKey());
    await collectSome(stream);
    await store.delete(bucket, newKey());
    await expect(collect(stream)).rejects.toBeInstanceOf(InputError);
  });

  it('mends a connection that moves no more bytes', async () => {
    const content = randomBytes(300_000);
    await stored(newKey(), content);
    proxy.inject({ when: isGet, fault: { kind: 'lose-answer' } });
    expect(sha256(await collect(await store.read(bucket, newKey())))).toBe(sha256(content));
  });

  it('waits no longer for an object to begin when told to stop', async () => {
    const patient = createS3ObjectStore(options({ idleTimeoutMs: 60_000 }));
    await stored(newKey(), randomBytes(10));
    proxy.inject({ when: isGet, fault: { kind: 'lose-answer' } });
    const stop = new AbortController();
    const reading = patient.read(bucket, newKey(), { signal: stop.signal });
    await waitFor(() => proxy.seen.some(isGet));
    stop.abort();
    await expect(reading).rejects.toThrow('s3:GetObject');
    expect(proxy.seen.filter(isGet)).toHaveLength(1);
    patient.close();
  });

  it('closes its connection when given up', async () => {
    await stored(newKey(), randomBytes(8_000_000));
    const single = createS3ObjectStore(options({ maxSockets: 1 }));
    for (let turn = 0; turn < 3; turn += 1) {
      const stream = await single.read(bucket, newKey());
      stream.destroy();
    }
    // With a socket still held, this would wait for ever.
    expect(await single.head(bucket, newKey())).toMatchObject({ size: 8_000_000 });
    single.close();
  });
});

describe('errors of S3', () => {
  it.each([
    ['InvalidAccessKeyId', 403, 'credentials-refused'],
    ['SignatureDoesNotMatch', 403, 'credentials-refused'],
    ['ExpiredToken', 400, 'credentials-refused'],
    ['AccessDenied', 403, 'access-denied'],
    ['NoSuchBucket', 404, 'bucket-not-found'],
    ['AuthorizationHeaderMalformed', 400, 'wrong-region'],
    ['PermanentRedirect', 301, 'wrong-region'],
    ['InvalidObjectState', 403, 'access-denied'],
    ['SomethingNew', 400, 'object-store-refused'],
  ])('%s (%i) is an InputError %s that names bucket and action', async (code, status, expected) => {
    proxy.inject({ when: isListing, fault: refusal(status, code, '<Region>eu-west-1</Region>') });
    const error = await toArray(store.list(bucket, '')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InputError);
    expect(error).toMatchObject({ code: expected, message: expect.stringContaining(bucket) });
    expect(proxy.seen.length).toBe(1);
  });

  it('refuses a key id the service does not know', async () => {
    const stranger = createS3ObjectStore(
      options({ credentials: { kind: 'access-key', accessKeyId: 'STRANGER', secretAccessKey: 'planted-secret' } }),
    );
    const error = await toArray(stranger.list(bucket, '')).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'InputError', code: 'credentials-refused' });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('planted-secret');
    stranger.close();
  });

  it.each([
    ['InternalError', 500],
    ['SlowDown', 503],
    ['RequestTimeout', 400],
    ['', 502],
    ['', 429],
  ])('%s (%i) is tried again, and passes', async (code, status) => {
    proxy.inject({
      when: isListing,
      fault: code === '' ? { kind: 'status', status, body: '<html>Bad gateway</html>' } : refusal(status, code),
      times: attempts - 1,
    });
    expect(await toArray(store.list(bucket, 'nothing-here'))).toEqual([]);
    expect(proxy.seen.length).toBe(attempts);
  });

  it('gives up as transient after the attempts allowed', async () => {
    proxy.inject({ when: isListing, fault: { kind: 'reset' }, times: 99 });
    await expect(toArray(store.list(bucket, ''))).rejects.toMatchObject({
      name: 'TransientError',
      code: 'object-store-unavailable',
    });
    expect(proxy.seen.length).toBe(attempts);
  });

  it('says so when nobody listens at the endpoint', async () => {
    const nowhere = createS3ObjectStore(options({ endpoint: 'http://127.0.0.1:9' }));
    await expect(nowhere.head(bucket, 'x')).rejects.toMatchObject({
      name: 'TransientError',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    nowhere.close();
  });

  it('says so when the endpoint does not speak TLS', async () => {
    const wrong = createS3ObjectStore(options({ endpoint: proxy.url.replace('http:', 'https:') }));
    await expect(wrong.head(bucket, 'x')).rejects.toMatchObject({ name: 'InputError', code: 'endpoint-untrusted' });
    wrong.close();
  });

  it('says so when something else than S3 answers', async () => {
    proxy.inject({
      when: isListing,
      fault: {
        kind: 'status',
        status: 200,
        body: '<!doctype html><p>Welcome',
        headers: { 'content-type': 'text/html' },
      },
    });
    await expect(toArray(store.list(bucket, ''))).rejects.toMatchObject({
      name: 'InputError',
      code: 'endpoint-not-s3',
    });
  });

  it('corrects a clock that is off by more than S3 tolerates', async () => {
    const date = new Date(Date.now() + 3_600_000).toUTCString();
    proxy.inject({
      when: isListing,
      fault: { ...refusal(403, 'RequestTimeTooSkewed'), headers: { 'content-type': 'application/xml', date } } as Fault,
    });
    const skewed = createS3ObjectStore(options());
    expect(await toArray(skewed.list(bucket, 'nothing-here'))).toEqual([]);
    const signedAt = String(proxy.seen[1]?.headers['x-amz-date']).replace(
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
      '$1-$2-$3T$4:$5:$6Z',
    );
    expect(Date.parse(signedAt) - Date.now()).toBeGreaterThan(3_500_000);
    skewed.close();
  });
});

describe('checking permissions', () => {
  it('names each permission that is missing', async () => {
    proxy.inject({
      when: ({ method, path }) => method === 'POST' && path.includes('uploads'),
      fault: refusal(403, 'AccessDenied'),
      times: 9,
    });
    proxy.inject({ when: ({ method }) => method === 'DELETE', fault: refusal(403, 'AccessDenied'), times: 9 });
    const report = await store.check(bucket, 'export', 'out/');
    expect(report.missing).toEqual(['s3:DeleteObject', 's3:PutObject']);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ permission: 's3:AbortMultipartUpload', status: 'unverified' }),
    );
  });

  it('says where an upload was left that could not be aborted', async () => {
    proxy.inject({ when: isAbort, fault: refusal(403, 'AccessDenied'), times: 9 });
    const report = await store.check(bucket, 'export', 'left/');
    expect(report.missing).toEqual(['s3:AbortMultipartUpload']);
    const [open] = await toArray(store.listUploads(bucket, 'left/'));
    expect(report.findings.find(({ permission }) => permission === 's3:AbortMultipartUpload')?.detail).toContain(
      open?.uploadId,
    );
    expect(open?.key).toMatch(/^left\/\.millrace-permission-check-/);
    proxy.clear();
    await store.abortUpload(bucket, open?.key ?? '', open?.uploadId ?? '');
  });

  it('needs DeleteObject for an import only to mark files as done', async () => {
    proxy.inject({ when: ({ method }) => method === 'DELETE', fault: refusal(403, 'AccessDenied'), times: 9 });
    const report = await store.check(bucket, 'import');
    expect(report.missing).toEqual([]);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ permission: 's3:DeleteObject', status: 'missing', required: false }),
    );
  });

  it('does not blame GetObject when only ListBucket is known to be missing', async () => {
    proxy.inject({ when: ({ method }) => method === 'GET', fault: refusal(403, 'AccessDenied'), times: 9 });
    const report = await store.check(bucket, 'import');
    expect(report.missing).toEqual(['s3:ListBucket']);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ permission: 's3:GetObject', status: 'unverified' }),
    );
  });

  it('throws for wrong credentials instead of reporting every permission as missing', async () => {
    proxy.inject({ when: () => true, fault: refusal(403, 'InvalidAccessKeyId'), times: 9 });
    await expect(store.check(bucket, 'import')).rejects.toMatchObject({ code: 'credentials-refused' });
  });
});

describe('marking large objects as done', () => {
  it('copies an object above the limit of a single copy in ranges', async () => {
    const content = randomBytes(1_000_000);
    await stored(newKey(), content);
    const ranged = createS3ObjectStore(options({ copyBytes: 300_000 }));
    await ranged.copyDone(bucket, newKey(), md5(content));
    expect(proxy.seen.filter(isPart).map(({ headers }) => headers['x-amz-copy-source-range'])).toEqual([
      'bytes=0-299999',
      'bytes=300000-599999',
      'bytes=600000-899999',
      'bytes=900000-999999',
    ]);
    expect(sha256(await collect(await store.read(bucket, `${newKey()}.done`)))).toBe(sha256(content));
    expect(await store.head(bucket, newKey())).toBeUndefined();
    ranged.close();
  });

  it('keeps the original when the copy fails, and removes what was copied', async () => {
    const content = randomBytes(1_000_000);
    await stored(newKey(), content);
    const ranged = createS3ObjectStore(options({ copyBytes: 300_000 }));
    proxy.inject({ when: isPart, fault: refusal(503, 'SlowDown'), skip: 2, times: 99 });
    await expect(ranged.copyDone(bucket, newKey(), md5(content))).rejects.toBeInstanceOf(TransientError);
    expect(await store.head(bucket, newKey())).toMatchObject({ size: content.length });
    expect(await toArray(store.listUploads(bucket, newKey()))).toEqual([]);
    ranged.close();
  });
});

function md5(content: Buffer): string {
  return createHash('md5').update(content).digest('hex');
}

/** A source without end. */
function endless(): Readable {
  return new Readable({
    read() {
      this.push(Buffer.alloc(partBytes));
    },
  });
}

/** Reads the first bytes, so that the connection is in use. */
async function collectSome(stream: Readable): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.once('error', reject);
    stream.once('readable', () => {
      stream.off('error', reject);
      stream.read(1);
      resolve();
    });
  });
}

async function seen(when: (request: SeenRequest) => boolean): Promise<void> {
  while (!proxy.seen.some(when)) await new Promise((resolve) => setImmediate(resolve));
}

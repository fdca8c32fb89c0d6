import { randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { createTestBucket, FaultProxy, testUrl } from '@millrace/testing';
import { ExportFixture } from './export-fixture.js';
import { isCompletion, isUploadPart, s3Exporter } from './s3-target.js';

type Bucket = Awaited<ReturnType<typeof createTestBucket>>;

describe('an export to S3', () => {
  let fixture: ExportFixture;
  let proxy: FaultProxy;
  let target: Bucket;

  beforeAll(async () => {
    fixture = await ExportFixture.create('s3_export');
    await fixture.addProfiles(
      Array.from({ length: 300 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
    proxy = await FaultProxy.start(testUrl('s3'));
    fixture.startWorker(s3Exporter(fixture, proxy.url));
  });

  beforeEach(async () => {
    target = await createTestBucket('export');
  });

  afterEach(() => {
    proxy.clear();
  });

  afterAll(async () => {
    await fixture.close();
    await proxy.stop();
  });

  const goal = (changes: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> =>
    fixture.goal({ target: { bucket: target.bucket, directory: 'out' }, compression: 'gzip', parts: 2, ...changes });

  const expectDelivered = async (keys: readonly string[]): Promise<void> => {
    const rows: string[] = [];
    for (const key of keys)
      rows.push(
        ...gunzipSync(await target.client.get(target.bucket, key))
          .toString()
          .split('\n')
          .slice(1, -1),
      );
    expect(new Set(rows).size).toBe(300);
    expect(rows).toHaveLength(300);
  };

  it('puts files and, after them, a manifest into the bucket', async () => {
    const { outcome, counts } = await fixture.run(randomUUID(), goal());
    expect(outcome).toBe('succeeded');
    expect(new Set((await target.client.list(target.bucket)).map((object) => object.key))).toEqual(
      new Set([...counts.files.map((file) => file.name), counts.manifest]),
    );
    await expectDelivered(counts.files.map((file) => file.name));
    expect(proxy.seen.filter(isCompletion).at(-1)?.path).toContain('.manifest.json');
  });

  it('survives a busy store, cut connections and a completion it never hears of', async () => {
    proxy.inject({
      when: isUploadPart,
      fault: { kind: 'status', status: 503, body: '<Error><Code>SlowDown</Code></Error>' },
      times: 2,
    });
    proxy.inject({ when: isUploadPart, fault: { kind: 'reset' }, times: 1 });
    proxy.inject({ when: isCompletion, fault: { kind: 'truncate', afterBytes: 0 }, times: 1 });
    const { outcome, counts, error } = await fixture.run(randomUUID(), goal());
    expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
    await expectDelivered(counts.files.map((file) => file.name));
  });

  it('fails and leaves nothing where the store refuses to store', async () => {
    proxy.inject({
      when: isUploadPart,
      fault: { kind: 'status', status: 403, body: '<Error><Code>AccessDenied</Code></Error>' },
      times: 1000,
    });
    expect(await fixture.run(randomUUID(), goal())).toMatchObject({
      outcome: 'failed',
      error: { code: 'access-denied', message: expect.stringMatching(/s3:PutObject/) as string },
    });
    proxy.clear();
    expect(await target.client.list(target.bucket)).toEqual([]);
  });

  it('takes back what is visible where a later completion is refused', async () => {
    proxy.inject({
      when: isCompletion,
      fault: { kind: 'status', status: 403, body: '<Error><Code>AccessDenied</Code></Error>' },
      skip: 1,
      times: 1000,
    });
    expect((await fixture.run(randomUUID(), goal())).outcome).toBe('failed');
    proxy.clear();
    expect(await target.client.list(target.bucket)).toEqual([]);
  });

  it('names the bucket that does not exist', async () => {
    const elsewhere = goal({ target: { bucket: 'no-such-bucket', directory: '' } });
    expect(await fixture.run(randomUUID(), elsewhere)).toMatchObject({
      outcome: 'failed',
      error: { code: 'bucket-not-found', message: expect.stringMatching(/no-such-bucket/) as string },
    });
  });
});

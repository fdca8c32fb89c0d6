import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { createTestBucket, type Fault, FaultProxy, testUrl } from '@millrace/testing';
import { ExportFixture, type Outcome } from './export-fixture.js';
import { announces, isBegin, isCompletion, isUploadPart, s3Exporter, s3Store } from './s3-target.js';

type Bucket = Awaited<ReturnType<typeof createTestBucket>>;

const answer = (status: number, code: string): Fault => ({
  kind: 'status',
  status,
  body: `<Error><Code>${code}</Code><Message>${code}</Message></Error>`,
});

const steps = {
  begin: isBegin,
  part: isUploadPart,
  completion: isCompletion,
  manifest: announces('.manifest.json'),
} as const;

describe('an export to an S3 that fails', () => {
  let fixture: ExportFixture;
  let proxy: FaultProxy;
  let target: Bucket;

  beforeAll(async () => {
    fixture = await ExportFixture.create('s3_faults');
    await fixture.addProfiles(
      Array.from({ length: 300 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
    proxy = await FaultProxy.start(testUrl('s3'));
    fixture.startWorker(s3Exporter(fixture, proxy.url), { maxAttempts: 3 });
  });

  beforeEach(async () => {
    target = await createTestBucket('faults');
  });

  afterEach(() => {
    proxy.clear();
  });

  afterAll(async () => {
    await fixture.close();
    await proxy.stop();
  });

  const run = async (): Promise<Outcome> => {
    const goal = fixture.goal({
      target: { bucket: target.bucket, directory: 'out' },
      parts: 2,
      tokenFile: '%FILE_NAME%.ready',
    });
    const { runId } = await fixture.open(randomUUID(), goal);
    return await fixture.outcome(runId, 120_000);
  };

  const objects = async (): Promise<readonly string[]> =>
    (await target.client.list(target.bucket)).map(({ key }) => key);

  const openUploads = async (): Promise<readonly string[]> => {
    const store = s3Store(testUrl('s3'));
    const keys: string[] = [];
    for await (const { key } of store.listUploads(target.bucket, '')) keys.push(key);
    store.close();
    return keys;
  };

  const expectDelivered = async ({ outcome, counts, error }: Outcome): Promise<void> => {
    expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
    const rows = await Promise.all(
      counts.files.map(async ({ name }) =>
        (await target.client.get(target.bucket, name)).toString().split('\n').slice(1, -1),
      ),
    );
    expect(new Set(rows.flat()).size).toBe(300);
    expect(rows.flat()).toHaveLength(300);
    expect(await objects()).toHaveLength(4);
    expect(await openUploads()).toEqual([]);
  };

  const expectNothingLeft = async (): Promise<void> => {
    expect(await objects()).toEqual([]);
    expect(await openUploads()).toEqual([]);
    expect((await fixture.database.query(sql`SELECT FROM exporter.reserved_key`)).rows).toEqual([]);
  };

  const passing: readonly (readonly [string, Fault])[] = [
    ['500', answer(500, 'InternalError')],
    ['503 SlowDown', answer(503, 'SlowDown')],
    ['a reset', { kind: 'reset' }],
    // Carried out, though nobody hears of it.
    ['a lost answer', { kind: 'truncate', afterBytes: 0 }],
  ];

  it.each(passing.flatMap(([name, fault]) => Object.keys(steps).map((step) => [name, step, fault] as const)))(
    'is delivered once, complete, after %s to a %s',
    async (_name, step, fault) => {
      // More than the client itself tries again: a second attempt of the unit has to take over from the first.
      proxy.inject({ when: steps[step as keyof typeof steps], fault, times: 5 });
      await expectDelivered(await run());
    },
  );

  it.each([
    ['expired credentials', answer(403, 'ExpiredToken'), 'credentials-refused'],
    ['a permission taken away', answer(403, 'AccessDenied'), 'access-denied'],
    ['a full disk', answer(500, 'InternalError'), 'object-store-unavailable'],
  ])('fails with the reason and leaves nothing after %s on the way', async (_name, fault, code) => {
    proxy.inject({ when: isUploadPart, fault, skip: 1, times: 1000 });
    const { outcome, error } = await run();
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'failed', code });
    proxy.clear();
    await expectNothingLeft();
  });

  it('fails and takes back what is visible where completing never works', async () => {
    proxy.inject({ when: isCompletion, fault: answer(500, 'InternalError'), skip: 1, times: 1000 });
    const { outcome, error } = await run();
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'failed', code: 'object-store-unavailable' });
    proxy.clear();
    await expectNothingLeft();
  });

  it('never shows a manifest without its files, nor a token without its manifest, to whoever polls', async () => {
    let polling = true;
    const seen: string[] = [];
    const poll = (async () => {
      while (polling) {
        const keys = await objects();
        const manifests = keys.filter((key) => key.endsWith('.manifest.json'));
        for (const key of manifests) {
          const { files } = JSON.parse((await target.client.get(target.bucket, key)).toString()) as {
            files: { name: string; bytes: number }[];
          };
          for (const { name, bytes } of files) {
            const body = await target.client.get(target.bucket, `out/${name}`);
            expect(body.length).toBe(bytes);
          }
          seen.push(key);
        }
        expect(manifests.length > 0 || !keys.some((key) => key.endsWith('.ready'))).toBe(true);
      }
    })();
    // Each step of the finish takes long enough to be looked at.
    proxy.inject({ when: isCompletion, fault: { kind: 'delay', ms: 300 }, times: 10 });
    const outcome = await run();
    polling = false;
    await poll;
    await expectDelivered(outcome);
    expect(seen).not.toEqual([]);
  });

  it('is delivered once, complete, after timeouts of requests that were carried out', async () => {
    await fixture.stopWorkers();
    fixture.startWorker(s3Exporter(fixture, proxy.url, { idleTimeoutMs: 2000 }));
    for (const when of Object.values(steps)) proxy.inject({ when, fault: { kind: 'lose-answer' } });
    await expectDelivered(await run());
  });
});

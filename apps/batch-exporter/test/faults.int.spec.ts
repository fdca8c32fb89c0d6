import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { InputError, TransientError } from '@millrace/domain';
import { claimUnit, newOwner, sendCommand } from '@millrace/job-queue';
import type { ObjectStore, Upload } from '@millrace/object-store';
import { waitFor } from '@millrace/testing';
import type { Exporter } from '../src/run-export/exporter.js';
import { writePart } from '../src/write-part/write-part.js';
import { ExportFixture } from './export-fixture.js';

describe('an export that meets faults', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('faults');
    await fixture.addProfiles(
      Array.from({ length: 400 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
  });

  afterEach(async () => {
    await fixture.stopWorkers();
    await fixture.emptyBucket();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const withStore = (change: (store: ObjectStore) => Partial<ObjectStore>): Exporter =>
    fixture.exporter({
      openTarget: ({ endpoint }) => {
        const store = fixture.store();
        return { endpoint, store: { ...store, ...change(store) } };
      },
    });

  const withWrite = (
    write: (upload: Upload, key: string, source: Parameters<Upload['write']>[0]) => ReturnType<Upload['write']>,
  ): Exporter =>
    withStore((store) => ({
      startUpload: async (bucket, key, options) => {
        const upload = await store.startUpload(bucket, key, options);
        return {
          uploadId: upload.uploadId,
          write: async (source) => await write(upload, key, source),
          complete: async () => upload.complete(),
          abort: async () => upload.abort(),
        };
      },
    }));

  const gate = (): {
    readonly reached: Promise<void>;
    readonly open: () => void;
    readonly pass: () => Promise<void>;
  } => {
    let arrive: () => void = () => undefined;
    let open: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (arrive = resolve));
    const opened = new Promise<void>((resolve) => (open = resolve));
    return {
      reached,
      open,
      pass: async () => {
        arrive();
        await opened;
      },
    };
  };

  const expectNothingLeft = async (): Promise<void> => {
    expect(await fixture.objects()).toEqual([]);
    expect(await fixture.openUploads()).toEqual([]);
    expect((await fixture.database.query(sql`SELECT FROM exporter.reserved_key`)).rows).toEqual([]);
  };

  const stateOf = async (runId: string): Promise<string | undefined> =>
    (await fixture.database.query<{ state: string }>(sql`SELECT state FROM exporter.export WHERE run_id = ${runId}`))
      .rows[0]?.state;

  it.each([
    ['files side by side', { parts: 2 }],
    ['files cut one after the other', { splitBytes: 1024 }],
  ])('is cancelled within five seconds while it writes %s, and nothing of it remains', async (_name, layout) => {
    const writing = gate();
    fixture.startWorker(
      withWrite(async (upload, key, source) => {
        if (key.endsWith('_2.csv'))
          await Promise.race([writing.pass(), new Promise((resolve) => source.once('close', resolve))]);
        return await upload.write(source);
      }),
    );
    const { runId } = await fixture.open(randomUUID(), fixture.goal(layout));
    await writing.reached;
    await sendCommand(fixture.database, { kind: 'cancel-run', runId });
    expect((await fixture.outcome(runId)).outcome).toBe('cancelled');
    expect(await stateOf(runId)).toBe('cancelled');
    await expectNothingLeft();
    writing.open();
  });

  it('is cancelled before it begins without a trace', async () => {
    const { runId } = await fixture.open(randomUUID());
    await sendCommand(fixture.database, { kind: 'cancel-run', runId });
    fixture.startWorker();
    expect((await fixture.outcome(runId)).outcome).toBe('cancelled');
    expect(await stateOf(runId)).toBeUndefined();
    await expectNothingLeft();
  });

  it('refuses a cancel once its files become visible, also when it has to be tried again', async () => {
    const completing = gate();
    let failed = false;
    fixture.startWorker(
      withStore((store) => ({
        completeUpload: async (...parameters) => {
          if (parameters[1].endsWith('.json')) await completing.pass();
          if (parameters[1].endsWith('.json') && !failed) {
            failed = true;
            throw new TransientError('object-store-unavailable', 'try again');
          }
          await store.completeUpload(...parameters);
        },
      })),
    );
    const { runId } = await fixture.open(randomUUID(), fixture.goal({ parts: 2 }));
    await completing.reached;
    await sendCommand(fixture.database, { kind: 'cancel-run', runId });
    // Long enough for the workers to have seen the command.
    await waitFor(
      async () =>
        (
          await fixture.database.query(
            sql`SELECT FROM work.command WHERE run_id = ${runId} AND created_at < now() - interval '400 ms'`,
          )
        ).rows.length > 0,
    );
    completing.open();
    expect(await fixture.outcome(runId)).toMatchObject({ outcome: 'succeeded', counts: { rows: 400 } });
    expect(await fixture.objects()).toHaveLength(3);
  });

  it('fails as a whole when one file cannot be written, with the reason and without the others', async () => {
    fixture.startWorker(
      withWrite(async (upload, key, source) => {
        if (!key.endsWith('_2.csv')) return await upload.write(source);
        source.destroy();
        throw new InputError('access-denied', 's3:PutObject on exports: not allowed', { at: 'exports' });
      }),
    );
    const goalId = randomUUID();
    const { outcome, error } = await fixture.run(goalId, fixture.goal({ parts: 3 }));
    expect({ outcome, error }).toEqual({
      outcome: 'failed',
      error: { code: 'access-denied', message: 's3:PutObject on exports: not allowed', at: 'exports' },
    });
    await expectNothingLeft();
    expect((await fixture.database.query(sql`SELECT FROM exporter.watermark WHERE goal_id = ${goalId}`)).rows).toEqual(
      [],
    );
  });

  it.each(['_2.csv', '.json'])(
    'takes back what is visible already when completing *%s fails for good',
    async (last) => {
      fixture.startWorker(
        withStore((store) => ({
          completeUpload: async (...parameters) => {
            if (parameters[1].endsWith(last)) throw new InputError('access-denied', 'not any more');
            await store.completeUpload(...parameters);
          },
        })),
      );
      const { runId } = await fixture.open(randomUUID(), fixture.goal({ parts: 2 }));
      expect(await fixture.outcome(runId)).toMatchObject({ outcome: 'failed', error: { code: 'access-denied' } });
      expect(await stateOf(runId)).toBe('failed');
      await expectNothingLeft();
    },
  );

  it('is written again after passing faults, once', async () => {
    let failures = 0;
    fixture.startWorker(
      withWrite(async (upload, _key, source) => {
        const summary = await upload.write(source);
        failures += 1;
        if (failures <= 2) throw new TransientError('object-store-unavailable', 'the answer was lost');
        return summary;
      }),
    );
    const { outcome, counts } = await fixture.run(randomUUID());
    expect({ outcome, rows: counts.rows, unique: new Set(await fixture.rows(counts)).size }).toEqual({
      outcome: 'succeeded',
      rows: 400,
      unique: 400,
    });
    expect(await fixture.openUploads()).toEqual([]);
  });

  it('keeps a stored file whose commit was never answered', async () => {
    const { database } = fixture;
    let lost = 0;
    const forgetful = new Proxy(database, {
      get: (target, name) => {
        if (name === 'query') return target.query.bind(target);
        if (name !== 'transaction') return Reflect.get(target, name) as unknown;
        return async (work: Parameters<typeof database.transaction>[0]) => {
          const stored = async (): Promise<number> =>
            (await target.query(sql`SELECT FROM exporter.part WHERE state = 'stored'`)).rows.length;
          const before = await stored();
          const result = await target.transaction(work);
          if (lost > 0 || (await stored()) <= before) return result;
          lost += 1;
          throw new TransientError('database-unavailable', 'the answer was lost');
        };
      },
    });
    fixture.startWorker(fixture.exporter({ database: forgetful }));
    expect(await fixture.run(randomUUID(), fixture.goal())).toMatchObject({
      outcome: 'succeeded',
      counts: { rows: 400 },
    });
    expect(lost).toBe(1);
  });

  it('gives up after many faults and takes everything back', async () => {
    fixture.startWorker(
      withWrite(async (_upload, _key, source) => {
        source.destroy();
        throw new TransientError('object-store-unavailable', 'the store is away');
      }),
      { maxAttempts: 2 },
    );
    const { outcome, error } = await fixture.run(randomUUID());
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'failed', code: 'object-store-unavailable' });
    await expectNothingLeft();
  });

  it('survives the end of its database connection in the middle of a file', async () => {
    const reading = gate();
    let first = true;
    fixture.startWorker(
      withWrite(async (upload, _key, source) => {
        if (first) {
          first = false;
          await reading.pass();
        }
        return await upload.write(source);
      }),
    );
    // More than fits into all the buffers on the way, so that the COPY is still sending.
    await fixture.database.query(
      sql`UPDATE profile.profile SET properties = properties || jsonb_build_object('person.name', repeat('x', 100000))`,
    );
    const columns = [{ header: 'name', source: { kind: 'property', property: 'person.name' } }];
    const { runId } = await fixture.open(randomUUID(), fixture.goal({ columns }));
    await reading.reached;
    await waitFor(
      async () =>
        (await fixture.database.query(sql`SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_progress_copy`)).rows
          .length > 0,
    );
    reading.open();
    expect(await fixture.outcome(runId)).toMatchObject({ outcome: 'succeeded', counts: { rows: 400 } });
    await fixture.database.query(sql`UPDATE profile.profile SET properties = properties - 'person.name'`);
  });

  it('is handed to another process when its own is asked to stop', async () => {
    const writing = gate();
    const stopping = fixture.startWorker(
      withWrite(async (upload, _key, source) => {
        await Promise.race([writing.pass(), new Promise((resolve) => source.once('close', resolve))]);
        return await upload.write(source);
      }),
    );
    const { runId } = await fixture.open(randomUUID());
    await writing.reached;
    await Promise.all(stopping.map((worker) => worker.stop()));
    fixture.startWorker();
    expect(await fixture.outcome(runId)).toMatchObject({ outcome: 'succeeded', counts: { rows: 400 } });
    expect(await fixture.openUploads()).toEqual([]);
  });

  it('cannot be touched by a writer that stalled, lost its part and wakes up', async () => {
    const stalled = gate();
    const exporter = withWrite(async (upload, _key, source) => {
      await stalled.pass();
      return await upload.write(source);
    });
    fixture.startWorker(fixture.exporter(), { queues: ['export-run'] });
    await fixture.stopWorkers();
    const { runId } = await fixture.open(randomUUID());
    const owner = newOwner('test');
    const runner = fixture.startWorker();
    await Promise.all(runner.slice(1).map((worker) => worker.stop()));
    const claimed = await waitFor(() =>
      claimUnit(fixture.queueDatabase, { queues: ['export-part'], owner, leaseTtlMs: 30_000 }),
    );
    const ending = writePart(exporter)(claimed.unit, {
      lease: claimed.lease,
      signal: new AbortController().signal,
      stopReason: () => undefined,
      lastAttempt: false,
      noteCounts: () => undefined,
    });
    const failure = ending.then(
      () => undefined,
      (error: unknown) => error,
    );
    await stalled.reached;
    await fixture.database.query(
      sql`UPDATE work.lease SET expires_at = clock_timestamp() - interval '1 second' WHERE resource = ${claimed.lease.resource}`,
    );
    fixture.startWorker();
    const { counts } = await fixture.outcome(runId);
    const delivered = await Promise.all(counts.files.map((file) => fixture.read(file.name)));
    stalled.open();
    expect(await failure).toBeDefined();
    expect(await Promise.all(counts.files.map((file) => fixture.read(file.name)))).toEqual(delivered);
    expect(await fixture.objects()).toHaveLength(2);
    expect(await fixture.openUploads()).toEqual([]);
  });

  it('shows progress in rows while it is written', async () => {
    const writing = gate();
    fixture.startWorker(
      withWrite(async (upload, _key, source) => {
        await writing.pass();
        return await upload.write(source);
      }),
    );
    await fixture.database.query(
      sql`UPDATE profile.profile SET properties = properties || jsonb_build_object('person.name', repeat('x', 100000))`,
    );
    const columns = [{ header: 'name', source: { kind: 'property', property: 'person.name' } }];
    const { runId } = await fixture.open(randomUUID(), fixture.goal({ columns }));
    const progress = await waitFor(async () =>
      (await fixture.events(runId)).find((event) => event.kind === 'goal-progress'),
    );
    expect(progress).toMatchObject({ progress: { phase: 'writing', total: 400, unit: 'rows' } });
    writing.open();
    expect((await fixture.outcome(runId)).outcome).toBe('succeeded');
    await fixture.database.query(sql`UPDATE profile.profile SET properties = properties - 'person.name'`);
  });
});

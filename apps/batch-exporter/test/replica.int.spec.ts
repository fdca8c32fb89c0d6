import { randomUUID } from 'node:crypto';
import { Database, sql } from '@millrace/database';
import type { GoalSnapshot } from '@millrace/domain';
import type { ObjectStore, Upload } from '@millrace/object-store';
import { type PrivatePostgres, startPrivatePostgres, type Standby, waitFor } from '@millrace/testing';
import type { ReplicaVerdict } from '../src/write-part/choose-reader.js';
import { ExportFixture, silentEvents } from './export-fixture.js';

/** Takes no byte before `until`. */
function slowStore(store: ObjectStore, until: Promise<void>): ObjectStore {
  const holding = (upload: Upload): Upload =>
    instead(upload, 'write', async (source) => {
      await until;
      return await upload.write(source);
    });
  return instead(store, 'startUpload', async (...args) => holding(await store.startUpload(...args)));
}

function instead<T extends object, K extends keyof T>(of: T, name: K, other: T[K]): T {
  return new Proxy(of, {
    get: (target, key) => {
      if (key === name) return other;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

describe('an export with a streaming replica', () => {
  let server: PrivatePostgres;
  let standby: Standby;
  let fixture: ExportFixture;
  let replica: Database;
  let ids: readonly string[];
  const goalId = randomUUID();
  const verdicts: ReplicaVerdict[] = [];

  beforeAll(async () => {
    server = await startPrivatePostgres();
    fixture = await ExportFixture.create('replica', server.url);
    ids = await fixture.addProfiles(
      Array.from({ length: 30 }, (_, index) => ({ email: `u${index}@x.test`, points: index })),
    );
    standby = await server.startStandby();
    replica = new Database({
      url: standby.url(fixture.testDatabase.url),
      applicationName: 'replica',
      maxConnections: 4,
    });
    const events = { ...silentEvents, replica: (_: unknown, verdict: ReplicaVerdict) => void verdicts.push(verdict) };
    fixture.startWorker(fixture.exporter({ replica, events }));
  }, 180_000);

  afterAll(async () => {
    await replica?.end();
    await fixture?.close();
    await server?.stop();
  }, 60_000);

  const run = async (): Promise<{ readonly mode: string | undefined; readonly rows: readonly string[] }> => {
    const { outcome, counts } = await fixture.run(goalId, fixture.goal({ fileName: '%DATETIME%' }));
    expect(outcome).toBe('succeeded');
    return { mode: counts.mode, rows: await fixture.rows(counts) };
  };

  /** A replica on a busy machine may be behind for a while: what is exported is right each time, and in the end it is read. */
  const untilUsed = async (once: () => Promise<void>): Promise<void> => {
    const all = async (): Promise<boolean> => {
      const before = verdicts.length;
      await once();
      return verdicts.slice(before).every((verdict) => verdict === 'used');
    };
    await waitFor(all, 60_000, 'the replica to be read');
  };

  it('reads its rows there once it shows what the plan saw', async () => {
    expect((await run()).rows).toHaveLength(30);
    let points = 100;
    await untilUsed(async () => {
      points += 1;
      await fixture.setProperty(ids[1] ?? '', 'points', points);
      expect(await run()).toEqual({ mode: 'delta', rows: [`u1@x.test,${points}`] });
    });
  }, 120_000);

  it('misses nothing while the replica lags: what it does not show is read from the primary, and the next delta goes on', async () => {
    await standby.pause();
    await fixture.setProperty(ids[2] ?? '', 'points', 202);
    expect(await run()).toEqual({ mode: 'delta', rows: ['u2@x.test,202'] });
    expect(verdicts.at(-1)).toBe('behind');
    await fixture.setProperty(ids[3] ?? '', 'points', 303);
    await standby.resume();
    expect(await run()).toEqual({ mode: 'delta', rows: ['u3@x.test,303'] });
    expect((await run()).rows).toEqual([]);
  }, 60_000);

  it('writes the same selection from the replica where rows were chosen beforehand', async () => {
    await fixture.addProfiles([
      { email: 'twin@x.test', points: 1 },
      { email: 'twin@x.test', points: 2 },
    ]);
    const keyed = fixture.goal({
      fileName: 'k_%DATETIME%',
      deduplicate: { by: 'properties', properties: ['email'] },
      splitRows: 10,
    });
    await untilUsed(async () => {
      const { counts } = await fixture.run(randomUUID(), keyed);
      expect(await fixture.rows(counts)).toHaveLength(31);
      expect(counts.files).toHaveLength(4);
    });
  }, 120_000);

  it('shows how many rows it has while it reads the replica', async () => {
    await fixture.addProfiles(
      Array.from({ length: 6000 }, (_, index) => ({ email: `${index}${'x'.repeat(2000)}@x.test` })),
    );
    await fixture.stopWorkers();
    let see = (): void => undefined;
    const seen = new Promise<void>((resolve) => (see = resolve));
    const used: ReplicaVerdict[] = [];
    const events = { ...silentEvents, replica: (_: unknown, verdict: ReplicaVerdict) => void used.push(verdict) };
    const openTarget = ({ endpoint }: GoalSnapshot) => ({ endpoint, store: slowStore(fixture.store(), seen) });
    fixture.startWorker(fixture.exporter({ replica, events, openTarget }));
    const progress = async (runId: string): Promise<number | undefined> => {
      const told = (await fixture.events(runId)).flatMap((event) =>
        event.kind === 'goal-progress' ? [event.progress.done] : [],
      );
      return told.find((done) => done > 0);
    };
    try {
      await waitFor(
        async () => {
          used.length = 0;
          const { runId } = await fixture.open(randomUUID(), fixture.goal({ fileName: randomUUID() }));
          await waitFor(async () => used[0], 60_000, 'the reader of the part');
          if (used[0] !== 'used') return false;
          expect(await waitFor(() => progress(runId), 60_000, 'progress')).toBeLessThan(6000);
          see();
          expect((await fixture.outcome(runId)).outcome).toBe('succeeded');
          return true;
        },
        120_000,
        'the replica to be read',
      );
    } finally {
      see();
    }
  }, 180_000);

  it('is full, and says why, on a backup that was promoted; the one after it is a delta again', async () => {
    const url = standby.url(fixture.testDatabase.url);
    await run();
    const { rows: position } = await fixture.database.query<{ lsn: string }>(
      sql`SELECT pg_current_wal_insert_lsn()::text AS lsn`,
    );
    const caughtUp = async () =>
      (
        await replica.query<{ there: boolean }>(
          sql`SELECT pg_last_wal_replay_lsn() >= ${position[0]?.lsn}::pg_lsn AS there`,
        )
      ).rows[0]?.there;
    await waitFor(caughtUp, 60_000, 'the replica');
    await standby.cutOff();
    // Delivered by the old primary, and not in the backup: a delta there would not know that it is undone.
    await fixture.setProperty(ids[4] ?? '', 'points', 404);
    expect((await run()).rows).toEqual(['u4@x.test,404']);
    await fixture.stopWorkers();
    await standby.promote();

    const promoted = new Database({ url, applicationName: 'promoted', maxConnections: 8 });
    try {
      expect((await promoted.query(sql`SELECT FROM exporter.watermark WHERE goal_id = ${goalId}`)).rows).toHaveLength(
        1,
      );
      await fixture.moveTo(promoted);
      fixture.startWorker();
      const { outcome, counts } = await fixture.run(goalId, fixture.goal({ fileName: 'p_%DATETIME%' }));
      expect({ outcome, mode: counts.mode }).toEqual({ outcome: 'succeeded', mode: 'full' });
      expect(counts.reason).toMatch(/promoted or restored/);
      expect(await fixture.rows(counts)).toContain('u4@x.test,4');
      await fixture.setProperty(ids[5] ?? '', 'points', 505);
      expect(await run()).toEqual({ mode: 'delta', rows: ['u5@x.test,505'] });
    } finally {
      await fixture.stopWorkers();
      await promoted.end();
    }
  }, 120_000);
});

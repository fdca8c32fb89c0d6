import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { claimUnit, type Lease, newOwner, type UnitContext } from '@millrace/job-queue';
import { abandonExport } from '../src/finish-export/abandon-export.js';
import { sweepAbandoned } from '../src/finish-export/sweep-abandoned.js';
import { type Exporter, withExportWork } from '../src/run-export/exporter.js';
import { runExport } from '../src/run-export/run-export.js';
import { readExport } from '../src/storage/exports.js';
import { writePart } from '../src/write-part/write-part.js';
import { ExportFixture } from './export-fixture.js';
import { Killed, MortalProcess } from './mortal-process.js';

/** What comes after the files. */
const announced = { manifests: [{ kind: 'millrace' }, { kind: 'pega' }], tokenFile: '%FILE_NAME%.ready' };

describe('an exporter that is killed', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('crash');
    await fixture.addProfiles(
      Array.from({ length: 60 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
  });

  afterAll(async () => {
    await fixture.close();
  });

  /** What a worker does with one unit, without what it does when that fails: a killed process does not either. */
  const workOnce = async (exporter: Exporter): Promise<boolean> => {
    const claimed = await claimUnit(fixture.queueDatabase, {
      queues: ['export-run', 'export-part'],
      owner: newOwner('test'),
      leaseTtlMs: 30_000,
    });
    if (claimed === undefined) return false;
    const { unit } = claimed;
    const handler = unit.queue === 'export-run' ? runExport(exporter) : writePart(exporter);
    await handler(unit, contextOf(claimed.lease));
    return true;
  };

  const contextOf = (lease: Lease): UnitContext => ({
    lease,
    signal: new AbortController().signal,
    stopReason: () => undefined,
    lastAttempt: false,
    noteCounts: () => undefined,
  });

  const workUntilDone = async (exporter: Exporter, runId: string, goalId: string): Promise<void> => {
    for (let rounds = 0; rounds < 30; rounds += 1) {
      if ((await readExport(fixture.database, { runId, goalId }))?.state === 'done') return;
      if (await workOnce(exporter)) continue;
      await fixture.database.query(sql`UPDATE work.unit SET not_before = clock_timestamp() WHERE state = 'ready'`);
    }
    throw new Error('the export does not end');
  };

  const endLeases = async (): Promise<void> => {
    await fixture.database.query(
      sql`UPDATE work.lease SET expires_at = clock_timestamp() - interval '1 second' WHERE expires_at > '-infinity'`,
    );
  };

  it.each([
    ['before', { parts: 2 }],
    ['after', { parts: 2 }],
    ['before', { splitRows: 30 }],
    ['after', { splitRows: 30 }],
    ['before', { splitBytes: 1024, csv: { quotePolicy: 'all' } }],
    ['after', { splitBytes: 1024, csv: { quotePolicy: 'all' } }],
  ] as const)(
    'just %s any of its steps (%j) leaves a successor that delivers one single set of files',
    async (when, layout) => {
      let kills = 0;
      for (let killAt = 1; ; killAt += 1) {
        await fixture.emptyBucket();
        const goalId = randomUUID();
        const { runId } = await fixture.open(goalId, fixture.goal({ ...layout, fileName: 'set', ...announced }));
        const first = new MortalProcess(fixture.exporter(), killAt, when);
        let whole = true;
        await workUntilDone(first.exporter, runId, goalId).catch((error: unknown) => {
          if (!(error instanceof Killed)) throw error;
        });
        if (first.isDead) {
          kills += 1;
          // Whatever it died of: what it called delivered is all there.
          const { rows: watermark } = await fixture.database.query(
            sql`SELECT FROM exporter.watermark WHERE goal_id = ${goalId}`,
          );
          whole = watermark.length === 0 || (await fixture.objects()).includes('out/set.ready');
          await endLeases();
          await workUntilDone(fixture.exporter(), runId, goalId);
        }
        const { outcome, counts } = await fixture.outcome(runId);
        expect({ killAt, whole, outcome, rows: counts.rows, unique: new Set(await fixture.rows(counts)).size }).toEqual(
          {
            killAt,
            whole: true,
            outcome: 'succeeded',
            rows: 60,
            unique: 60,
          },
        );
        expect(await fixture.objects()).toEqual([
          'out/set.csv',
          'out/set.manifest.json',
          'out/set.manifest.xml',
          'out/set.ready',
          'out/set_2.csv',
        ]);
        expect(await fixture.manifest(counts)).toMatchObject({ rows: 60 });
        expect(await fixture.openUploads()).toEqual([]);
        expect((await fixture.database.query(sql`SELECT FROM exporter.selected`)).rows).toEqual([]);
        expect((await fixture.events(runId)).filter((event) => event.kind === 'goal-finished')).toHaveLength(1);
        const { rows } = await fixture.database.query<{ same: boolean }>(sql`
        SELECT w.snapshot::text = e.plan->'position'->>'snapshot' AS same
        FROM exporter.watermark w JOIN exporter.export e ON e.goal_id = w.goal_id WHERE w.goal_id = ${goalId}`);
        expect(rows).toEqual([{ same: true }]);
        if (!first.isDead) break;
      }
      expect(kills).toBeGreaterThan(15);
    },
  );

  it.each(['before', 'after'] as const)(
    'just %s any step of removing an abandoned export leaves the rest to the sweep',
    async (when) => {
      for (let killAt = 1; ; killAt += 1) {
        await fixture.emptyBucket();
        const goalId = randomUUID();
        const { runId } = await fixture.open(goalId, fixture.goal({ parts: 2, fileName: 'set', ...announced }));
        // Killed at the very end: objects and manifest are there, the delivery is not recorded.
        const almost = { ...fixture.exporter(), database: failingAtDelivery(fixture) };
        await workUntilDone(almost, runId, goalId).catch(() => undefined);
        expect(await fixture.objects()).toHaveLength(5);
        await endLeases();

        const claimed = await claimUnit(fixture.queueDatabase, {
          queues: ['export-run'],
          owner: newOwner('test'),
          leaseTtlMs: 30_000,
        });
        if (claimed === undefined) throw new Error('no unit to take over');
        const process = new MortalProcess(fixture.exporter(), killAt, when);
        const failure = await withExportWork(process.exporter, claimed.unit, (work) =>
          abandonExport(process.exporter, work, claimed.unit.id, claimed.lease, { code: 'test', message: 'given up' }),
        ).catch((error: unknown) => error);
        expect(failure === undefined || failure instanceof Killed).toBe(true);
        const begun = (await readExport(fixture.database, { runId, goalId }))?.state !== 'finishing';
        await sweepAbandoned(fixture.exporter(), 0);
        const left = {
          state: (await readExport(fixture.database, { runId, goalId }))?.state,
          objects: (await fixture.objects()).length,
          uploads: (await fixture.openUploads()).length,
        };
        expect(left).toEqual(
          begun ? { state: 'failed', objects: 0, uploads: 0 } : { state: 'finishing', objects: 5, uploads: 0 },
        );
        await fixture.database.query(sql`UPDATE work.unit SET state = 'failed' WHERE run_id = ${runId}`);
        await fixture.database.query(sql`DELETE FROM exporter.export WHERE run_id = ${runId}`);
        if (!process.isDead) break;
      }
    },
  );
});

/** Everything works but the transaction that records the delivery. */
function failingAtDelivery(fixture: ExportFixture): Exporter['database'] {
  const { database } = fixture;
  return new Proxy(database, {
    get: (target, name) => {
      if (name === 'query') return target.query.bind(target);
      if (name !== 'transaction') return Reflect.get(target, name) as unknown;
      return async (work: Parameters<typeof database.transaction>[0]) =>
        target.transaction(async (tx) => {
          const result = await work(tx);
          const { rows } = await tx.query(sql`SELECT FROM exporter.export WHERE state = 'done' AND updated_at > now()`);
          if (rows.length > 0) throw new Killed();
          return result;
        });
    },
  });
}

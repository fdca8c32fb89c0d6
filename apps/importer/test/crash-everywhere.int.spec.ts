import { sql } from '@millrace/database';
import { claimUnit, newOwner, type UnitContext } from '@millrace/job-queue';
import { ImportRun, type ImportServices } from '../src/run-import/import-run.js';
import { sweepTables } from '../src/storage/staging-tables.js';
import { ImportHarness, outcomes, silentEvents } from './import-harness.js';
import { mortalServices } from './mortal-services.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('crash-everywhere', [{ name: 'points', type: 'decimal' }]);
});
afterAll(() => harness.close());

const services = (): ImportServices => ({
  database: harness.database,
  wakeUps: harness.wakeUps,
  events: silentEvents,
  settings: { lanes: 1, chunkLines: 5, maxStoredRejects: 100, maxPlainBytes: 1024 ** 3 },
  sealingKey: harness.sealingKey,
  openStore: () => harness.openStore(),
});

/** Claims the open unit, as a worker that takes over from a dead one does, and runs it. */
async function work(using: ImportServices): Promise<void> {
  await harness.database.query(sql`UPDATE work.lease SET expires_at = clock_timestamp() - interval '1 s'`);
  const claimed = await claimUnit(harness.database, {
    queues: ['import-run'],
    owner: newOwner('test'),
    leaseTtlMs: 30_000,
  });
  if (claimed === undefined) throw new Error('there is no unit to claim');
  const context: UnitContext = {
    lease: claimed.lease,
    signal: new AbortController().signal,
    stopReason: () => undefined,
    lastAttempt: false,
    noteCounts: () => undefined,
  };
  await new ImportRun(using).handle(claimed.unit, context);
}

/** Ten customers in twelve rows, one of them rejected, with an order each; everything named after the attempt. */
async function openImport(name: string): Promise<string> {
  const rows = Array.from({ length: 10 }, (_, number) => `${name}-${number},1.5`);
  const orders = Array.from({ length: 10 }, (_, number) => `${name}-o${number},${name}-${number},2026-01-01`);
  await harness.client.put(
    harness.bucket,
    `${name}/customers.csv`,
    `id,points\n${rows.join('\n')}\n${name}-3,2\n${name}-4,many\n`,
  );
  await harness.client.put(harness.bucket, `${name}/orders.csv`, `order,id,at\n${orders.join('\n')}\n`);
  return harness.open(
    harness.goal({
      source: { bucket: harness.bucket, directory: name, pattern: { kind: 'exact', name: 'customers.csv' } },
      mappings: [{ column: 'points', property: 'points', rule: 'sum' }],
      linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'id', parentColumn: 'id' }],
      events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
      afterImport: 'done-suffix',
    }),
  );
}

async function expectImportedOnce(name: string, runId: string): Promise<void> {
  const run = await harness.finished(runId);
  expect(run).toMatchObject({
    outcome: 'succeeded',
    counts: {
      files: 1,
      rowsRead: 12,
      created: 11,
      rejected: 1,
      profilesCreated: 10,
      linkedRowsRead: 10,
      linkedRowsUsed: 10,
      events: 10,
    },
  });
  expect(outcomes(run.counts)).toBe(12);
  expect(run.events.filter((event) => event.kind === 'goal-finished')).toHaveLength(1);
  const profiles = Object.entries(await harness.profiles()).filter(([id]) => id.startsWith(`${name}-`));
  expect(profiles.map(([, { points }]) => points)).toEqual(
    Array.from({ length: 10 }, (_, number) => (number === 3 ? 3.5 : 1.5)),
  );
  const { rows } = await harness.database.query<{ rejects: number }>(sql`
    SELECT count(*)::int AS rejects FROM importer.reject r JOIN importer.file f ON f.id = r.file_id AND f.reject_stage = r.stage_number WHERE f.run_id = ${runId}`);
  expect(rows).toEqual([{ rejects: 1 }]);
  expect((await harness.client.list(harness.bucket, `${name}/`)).map(({ key }) => key)).toEqual([
    `${name}/customers.csv.done`,
    `${name}/orders.csv.done`,
  ]);
  await sweepTables(harness.database, 30);
  expect(await harness.tables()).toEqual([]);
}

describe.each(['before', 'after'] as const)('a process killed just %s any of its effects', (when) => {
  it('leaves an import that another process ends with the same counts and every sum added once', async () => {
    let killAt = 1;
    for (; ; killAt += 1) {
      const name = `${when}${killAt}`;
      const runId = await openImport(name);
      const mortal = mortalServices(services(), killAt, when);
      const survived = await work(mortal.services).then(
        () => true,
        (error: unknown) => {
          if (!mortal.isDead()) throw error;
          return false;
        },
      );
      // Killed after its very last effect, it had ended its unit.
      const open = await harness.database.query(sql`SELECT 1 FROM work.unit WHERE state IN ('ready', 'running')`);
      if (open.rowCount > 0) await work(services());
      await expectImportedOnce(name, runId);
      if (survived) break;
    }
    expect(killAt).toBeGreaterThan(20);
  });
});

import { sql } from '@millrace/database';
import { sweepTables } from '../src/storage/staging-tables.js';
import { ImportHarness, outcomes } from './import-harness.js';
import { killEverywhere } from './killed-everywhere.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('crash-everywhere', [{ name: 'points', type: 'decimal' }]);
});
afterAll(() => harness.close());

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
    const killAt = await killEverywhere(harness, when, { open: openImport, expectDone: expectImportedOnce });
    expect(killAt).toBeGreaterThan(20);
  });
});

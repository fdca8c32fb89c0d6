import { sql } from '@millrace/database';
import { defaultRetention, removeExpiredImports } from '../src/storage/retention.js';
import { ImportHarness } from './import-harness.js';

let harness: ImportHarness;
beforeAll(async () => {
  harness = await ImportHarness.create('retention', [{ name: 'points', type: 'integer' }]);
  harness.startWorker();
});
afterAll(() => harness.close());

const mappings = [{ column: 'points', property: 'points' }];
const goal = () => harness.goal({ mappings, badValue: 'reject-field' });
const count = async (table: string): Promise<number> =>
  (await harness.database.query(sql`SELECT FROM ${sql.id('importer', table)}`)).rowCount;
const age = (days: number): Promise<unknown> =>
  harness.database.query(sql`UPDATE importer.file SET updated_at = now() - ${days}::int * interval '1 day'`);
const sweep = (): Promise<number> => removeExpiredImports(harness.database, defaultRetention);

it('removes rejects and samples after their time, then the files, and never the ledger or the last header', async () => {
  await harness.put('customers-1.csv', 'id,points\nr-1,many\n');
  await harness.run(goal());
  await harness.put('customers-2.csv', 'id,points\nr-2,few\n');
  const dry = await harness.run(goal(), { dryRun: true });
  expect(dry.counts.created).toBe(1);
  await harness.run(goal());
  const samples = sql`SELECT FROM importer.file WHERE rehearsal->'samples' <> '[]'`;
  expect([await count('file'), await count('reject'), (await harness.database.query(samples)).rowCount]).toEqual([
    5, 3, 1,
  ]);

  await age(29);
  expect(await sweep()).toBe(0);
  await age(31);
  expect(await sweep()).toBe(4);
  expect([await count('file'), await count('reject'), (await harness.database.query(samples)).rowCount]).toEqual([
    5, 0, 0,
  ]);

  await age(401);
  expect(await sweep()).toBeGreaterThan(0);
  expect(await sweep()).toBe(0);
  const { rows } = await harness.database.query<{ key: string; state: string }>(
    sql`SELECT key, state FROM importer.file`,
  );
  expect(rows).toEqual([{ key: 'in/customers-2.csv', state: 'finished' }]);
  expect(await count('ledger')).toBe(2);
  expect((await harness.run(goal())).counts).toMatchObject({ filesSkipped: 2, rowsRead: 0 });
});

it('leaves what a run under way has found', async () => {
  await age(500);
  await harness.database.query(sql`UPDATE work.unit SET state = 'ready', not_before = 'infinity'`);
  const before = await count('file');
  expect(await sweep()).toBe(0);
  expect(await count('file')).toBe(before);
});

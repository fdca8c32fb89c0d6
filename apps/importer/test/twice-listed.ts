import { sql, type Sql } from '@millrace/database';
import type { ImportProfilesGoal } from '@millrace/domain';
import { waitFor } from '@millrace/testing';
import { outcomes, type FinishedRun, type ImportHarness } from './import-harness.js';

const customers = 200;
/** Some are there before, so that a test can lock them: one in the middle of the chunks, and one later. */
export const existing = ['c55', 'c105'] as const;

export const properties = [
  { name: 'points', type: 'decimal' },
  { name: 'tags', list: true },
] as const;

/** A goal over files that list every customer twice, with 0.1 points and a tag each time, and an order each. Large enough to be stopped in. */
export async function openTwiceListed(harness: ImportHarness, changes: Record<string, unknown> = {}): Promise<string> {
  const filler = 'x'.repeat(2000);
  const rows = [0, 1].flatMap((round) =>
    Array.from({ length: customers }, (_, number) => `c${number},0.1,t${round},${filler}`),
  );
  const orders = Array.from({ length: customers }, (_, number) => `o${number},c${number},2026-01-01`);
  await harness.put('customers.csv', `id,points,tag,filler\n${rows.join('\n')}\n`);
  await harness.put('orders.csv', `order,id,at\n${orders.join('\n')}\n`);
  const goal: ImportProfilesGoal = harness.goal({
    source: { bucket: harness.bucket, directory: 'in', pattern: { kind: 'exact', name: 'customers.csv' } },
    mappings: [
      { column: 'points', property: 'points', rule: 'sum' },
      { column: 'tag', property: 'tags', rule: 'add' },
    ],
    linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'id', parentColumn: 'id' }],
    events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
    ...changes,
  });
  return harness.open(goal);
}

export async function addExisting(harness: ImportHarness): Promise<void> {
  for (const id of existing) {
    await harness.database.query(sql`
      WITH made AS (
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT uuidv7(), w.id, g.id, '{"points": 10}', 1 FROM profile.workspace w JOIN profile.domain_group g ON g.workspace_id = w.id
        RETURNING id, domain_group_id
      )
      INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
      SELECT made.domain_group_id, n.id, ${id}, made.id FROM made JOIN profile.identity_namespace n ON n.code = 'customerId'`);
  }
}

/** The result of an undisturbed run, to the last count. */
export async function expectUndisturbed(harness: ImportHarness, run: FinishedRun): Promise<void> {
  expect(run).toMatchObject({
    outcome: 'succeeded',
    counts: {
      files: 1,
      rowsRead: 2 * customers,
      created: 2 * (customers - existing.length),
      updated: 2 * existing.length,
      profilesCreated: customers - existing.length,
      profilesUpdated: existing.length,
      events: customers,
      linkedRowsRead: customers,
      linkedRowsUsed: customers,
    },
  });
  expect(outcomes(run.counts)).toBe(2 * customers);
  expect(run.events.filter(({ kind }) => kind === 'goal-finished')).toHaveLength(1);
  const profiles = await harness.profiles();
  expect(Object.keys(profiles)).toHaveLength(customers);
  for (const [id, profile] of Object.entries(profiles)) {
    const before = (existing as readonly string[]).includes(id) ? 10 : 0;
    expect([id, profile]).toEqual([id, { points: before + 0.2, tags: ['t0', 't1'] }]);
  }
  expect((await harness.statistics()).events).toBe(customers);
}

export function profileOf(id: string): Sql {
  return sql`
    SELECT FROM profile.profile p WHERE p.id IN (SELECT i.profile_id FROM profile.identity i WHERE i.value = ${id}) FOR UPDATE`;
}

/** Waits until a session waits for a lock with a statement like this. */
export async function somebodyWaits(harness: ImportHarness, statement = '%'): Promise<void> {
  await waitFor(
    async () =>
      (
        await harness.database.query(sql`
          SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
            AND wait_event_type = 'Lock' AND query LIKE ${statement}`)
      ).rowCount > 0,
    60_000,
    `somebody who waits for a lock (${statement})`,
  );
}

export async function appliedChunks(harness: ImportHarness): Promise<number> {
  return (await harness.database.query(sql`SELECT FROM importer.chunk`)).rowCount;
}

import { sql } from '@millrace/database';
import { TransientError, type SegmentRule } from '@millrace/domain';
import { buildSegments, createSegment, ingestBatch, loadCatalogue } from '@millrace/profile-store';
import { ImportHarness, outcomes } from './import-harness.js';

const seeds = (process.env['MILLRACE_TEST_SEED'] ?? '11,12').split(',').map(Number);
const people = 40;
const files = 4;
const rowsPerFile = 300;
const batches = 30;

/** Marsaglia's xorshift: whole numbers below a bound, the same from the same seed. */
function numbersFrom(seed: number): (bound: number) => number {
  let state = (seed * 2_654_435_761) | 0 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/** Two imports and the ingestion API, each adding a point, a tag and an order at a time to the same few people. */
describe.each(seeds)('two imports and the ingestion API at once (seed %i)', (seed) => {
  let harness: ImportHarness;
  const points = new Map<number, number>();
  const orders = new Map<string, number>();
  const segmentIds: string[] = [];

  beforeAll(async () => {
    harness = await ImportHarness.create('writers-at-once', [
      { name: 'points', type: 'decimal' },
      { name: 'tags', list: true },
    ]);
    for (const least of [1, 3, 10, 30]) {
      const atLeast = { aggregate: 'count', op: 'greater-or-equal', value: least } as const;
      const rule: SegmentRule = { kind: 'event', type: 'order', ...atLeast, where: [] };
      const { id } = await createSegment(harness.database, harness.workspaceId, { name: `${least} orders`, rule });
      segmentIds.push(id);
    }
    while (await buildSegments(harness.database));
  });
  afterAll(() => harness.close());

  const note = (person: number, order: string): void => {
    points.set(person, (points.get(person) ?? 0) + 1);
    orders.set(order, person);
  };

  const namespaces = (person: number) => ({ customerId: `c${person}`, email: `c${person}@example.org` });

  async function importFiles(writer: number): Promise<void> {
    const random = numbersFrom(seed * 100 + writer);
    const directory = `writer-${writer}`;
    for (let file = 0; file < files; file += 1) {
      const rows = Array.from({ length: rowsPerFile }, (_, row) => {
        const person = random(people);
        const order = `w${writer}-${file}-${row}`;
        note(person, order);
        const { customerId, email } = namespaces(person);
        // One of the two identifiers, or both: which finds the profile differs from row to row.
        const [id, mail] = [
          [customerId, ''],
          ['', email],
          [customerId, email],
        ][random(3)] as [string, string];
        return `${id},${mail},1,t${writer},${order},2026-01-01\n`;
      });
      const content = `id,email,points,tag,order,at\n${rows.join('')}`;
      await harness.client.put(harness.bucket, `${directory}/${file}.csv`, content);
    }
    const goal = harness.goal({
      source: { bucket: harness.bucket, directory, pattern: { kind: 'every' } },
      matching: {
        identifiers: [
          { column: 'id', namespace: 'customerId' },
          { column: 'email', namespace: 'email' },
        ],
      },
      mappings: [
        { column: 'points', property: 'points', rule: 'sum' },
        { column: 'tag', property: 'tags', rule: 'add' },
      ],
      events: [{ type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
    });
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: files * rowsPerFile, rejected: 0 } });
    expect(outcomes(run.counts)).toBe(files * rowsPerFile);
    expect(run.counts.ambiguous).toBe(0);
    expect(run.counts.events).toBe(files * rowsPerFile);
  }

  async function ingest(writer: number): Promise<void> {
    const random = numbersFrom(seed * 100 + writer);
    const catalogue = await loadCatalogue(harness.database, harness.workspaceId);
    for (let batch = 0; batch < batches; batch += 1) {
      const items = Array.from({ length: 10 }, (_, index) => {
        const person = random(people);
        const order = `i${writer}-${batch}-${index}`;
        note(person, order);
        const { customerId, email } = namespaces(person);
        const both = [
          { namespace: 'customerId', value: customerId },
          { namespace: 'email', value: email },
        ];
        const identities = [both.slice(0, 1), both.slice(1), both][random(3)];
        return {
          identities,
          properties: [
            { property: 'points', value: 1, rule: 'sum' },
            { property: 'tags', value: [`i${writer}`], rule: 'add' },
          ],
          events: [{ type: 'order', id: order, occurredAt: '2026-01-01T00:00:00Z' }],
        };
      });
      for (;;) {
        try {
          const results = await harness.database.transaction((tx) =>
            ingestBatch(tx, catalogue, items, { allowCreation: true }),
          );
          for (const { outcome } of results) expect(['created', 'updated']).toContain(outcome);
          break;
        } catch (error) {
          // As a client does when it is told to send again: nothing of the batch was written.
          if (!(error instanceof TransientError && error.code === 'identities-contended')) throw error;
        }
      }
    }
  }

  it('neither wait for each other in a circle nor refuse a row', async () => {
    // Everybody is there before, under both identifiers: rows that have one of them find the same profile.
    const catalogue = await loadCatalogue(harness.database, harness.workspaceId);
    const everybody = Array.from({ length: people }, (_, person) => ({
      identities: Object.entries(namespaces(person)).map(([namespace, value]) => ({ namespace, value })),
    }));
    await harness.database.transaction((tx) => ingestBatch(tx, catalogue, everybody, { allowCreation: true }));
    harness.startWorker({ runs: 2, settings: { chunkLines: 7, lanes: 2 } });
    harness.startWorker({ runs: 2, settings: { chunkLines: 11, lanes: 2 } });
    const { rows: before } = await harness.database.query<{ deadlocks: number }>(
      sql`SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()`,
    );
    await Promise.all([importFiles(1), importFiles(2), ingest(3), ingest(4)]);
    await harness.database.query(sql`SELECT pg_stat_force_next_flush()`);
    const { rows: after } = await harness.database.query<{ deadlocks: number }>(
      sql`SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()`,
    );
    expect(after).toEqual(before);
  });

  it('lose no point and no tag', async () => {
    const profiles = await harness.profiles();
    expect(Object.keys(profiles)).toHaveLength(people);
    for (const [person, expected] of points) {
      const { points: stored, tags } = profiles[`c${person}`] ?? {};
      expect([person, stored]).toEqual([person, expected]);
      expect(new Set(tags as string[]).size).toBe((tags as string[]).length);
    }
  });

  it('leave every order with its person, once', async () => {
    const { rows } = await harness.database.query<{ id: string; value: string }>(sql`
      SELECT e.id, i.value FROM profile.event e JOIN profile.identity i ON i.profile_id = e.profile_id
      JOIN profile.identity_namespace n ON n.id = i.namespace_id AND n.code = 'customerId'`);
    expect(new Map(rows.map(({ id, value }) => [id, value]))).toEqual(
      new Map([...orders].map(([order, person]) => [order, `c${person}`])),
    );
    expect(rows).toHaveLength(orders.size);
  });

  it('leave memberships that agree with the orders', async () => {
    const perPerson = new Map<number, number>();
    for (const person of orders.values()) perPerson.set(person, (perPerson.get(person) ?? 0) + 1);
    for (const [index, least] of [1, 3, 10, 30].entries()) {
      const { rows } = await harness.database.query<{ value: string }>(sql`
        SELECT i.value FROM profile.membership m JOIN profile.identity i ON i.profile_id = m.profile_id
        JOIN profile.identity_namespace n ON n.id = i.namespace_id AND n.code = 'customerId'
        WHERE m.segment_id = ${segmentIds[index]}::uuid AND m.status = 'realized' ORDER BY i.value`);
      const expected = [...perPerson].filter(([, count]) => count >= least).map(([person]) => `c${person}`);
      expect([least, rows.map(({ value }) => value)]).toEqual([least, expected.sort()]);
    }
  });
});

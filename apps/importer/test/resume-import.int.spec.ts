import { sql } from '@millrace/database';
import type { ObjectStore } from '@millrace/object-store';
import { waitFor } from '@millrace/testing';
import type { ImportEvents } from '../src/import.events.js';
import { ImportHarness, outcomes, silentEvents, type FinishedRun, type WorkerChanges } from './import-harness.js';

let harness: ImportHarness;

beforeEach(async () => {
  harness = await ImportHarness.create('resume', [
    { name: 'points', type: 'decimal' },
    { name: 'tags', list: true },
  ]);
});
afterEach(() => harness.close());

const customers = 60;
const rowsPerCustomer = 3;

/** Every customer three times: 0.1 points each time, and a tag of its own. Then orders, two for each customer. */
function files(): Readonly<Record<string, string>> {
  const rows: string[] = [];
  for (let round = 0; round < rowsPerCustomer; round += 1) {
    for (let number = 0; number < customers; number += 1) rows.push(`c${number},0.1,t${round}`);
  }
  const orders = Array.from({ length: customers * 2 }, (_, number) => `o${number},c${number % customers},2026-01-01`);
  return {
    'customers.csv': `id,points,tag\n${rows.join('\n')}\n`,
    'orders.csv': `order,id,at\n${orders.join('\n')}\n`,
  };
}

const goal = (changes: Record<string, unknown> = {}) =>
  harness.goal({
    source: { bucket: harness.bucket, directory: 'in', pattern: { kind: 'exact', name: 'customers.csv' } },
    mappings: [
      { column: 'points', property: 'points', rule: 'sum' },
      { column: 'tag', property: 'tags', rule: 'add' },
    ],
    linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'id', parentColumn: 'id' }],
    events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
    ...changes,
  });

async function putFiles(): Promise<void> {
  for (const [name, content] of Object.entries(files())) await harness.put(name, content);
}

/** Events of a worker that dies, as far as the database can tell, the first time it comes to a point. */
function dyingAt(point: keyof ImportEvents, when: (event: unknown) => boolean = () => true): ImportEvents {
  let died = false;
  const events: Record<string, (event: unknown) => void> = { ...silentEvents } as never;
  events[point] = (event) => {
    if (died || !when(event)) return;
    died = true;
    throw new Error('the worker dies here');
  };
  return events as unknown as ImportEvents;
}

const settings = { chunkLines: 10, lanes: 2 };

async function runWith(changes: WorkerChanges): Promise<FinishedRun> {
  await putFiles();
  harness.startWorker({ settings, ...changes });
  return harness.run(goal());
}

async function expectWhole(run: FinishedRun): Promise<void> {
  expect(run).toMatchObject({
    outcome: 'succeeded',
    counts: {
      files: 1,
      rowsRead: 180,
      created: 180,
      profilesCreated: 60,
      events: 120,
      linkedRowsRead: 120,
      linkedRowsUsed: 120,
    },
  });
  expect(outcomes(run.counts)).toBe(180);
  const profiles = Object.values(await harness.profiles());
  expect(profiles).toHaveLength(60);
  for (const profile of profiles) expect(profile).toEqual({ points: 0.3, tags: ['t0', 't1', 't2'] });
  expect((await harness.statistics()).events).toBe(120);
  expect(await harness.tables()).toEqual([]);
}

const chunk = (number: number) => (event: unknown) => (event as { number: number }).number === number;

describe('a worker that dies', () => {
  it.each([
    ['after staging', dyingAt('fileStaged')],
    ['after planning', dyingAt('filePlanned')],
    ['after the first chunk', dyingAt('chunkApplied', chunk(0))],
    ['between chunks', dyingAt('chunkApplied', chunk(3))],
    ['after the last chunk', dyingAt('chunkApplied', chunk(6))],
    ['before the source is put away', dyingAt('fileFinished')],
  ])('%s leaves a run that ends as if undisturbed, with every sum added once', async (_, events) => {
    await expectWhole(await runWith({ events }));
  });

  it('in the middle of a chunk leaves nothing of that chunk', async () => {
    // The ledger line of chunk 2 is refused once, at the very end of its transaction.
    await harness.database.query(sql`
      CREATE FUNCTION importer.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF NEW.number = 2 AND nextval('importer.refusals') = 1 THEN RAISE EXCEPTION 'refused'; END IF;
        RETURN NEW;
      END $$`);
    await harness.database.query(sql`CREATE SEQUENCE importer.refusals`);
    await harness.database.query(
      sql`CREATE TRIGGER refuse BEFORE INSERT ON importer.chunk FOR EACH ROW EXECUTE FUNCTION importer.refuse()`,
    );
    await expectWhole(await runWith({}));
  });

  it('before the done mark, or after it, leaves the files marked and imported once', async () => {
    await putFiles();
    let calls = 0;
    const openStore = (): ObjectStore => {
      const store = harness.openStore();
      return {
        ...store,
        copyDone: async (bucket, key, etag) => {
          calls += 1;
          if (calls === 1) throw new Error('dies before');
          await store.copyDone(bucket, key, etag);
          if (calls === 2) throw new Error('dies after');
        },
      };
    };
    harness.startWorker({ settings, openStore });
    await expectWhole(await harness.run(goal({ afterImport: 'done-suffix' })));
    expect((await harness.client.list(harness.bucket)).map(({ key }) => key)).toEqual([
      'in/customers.csv.done',
      'in/orders.csv.done',
    ]);
  });
});

describe('a database that lost the staged rows', () => {
  it.each([
    ['before the plan', dyingAt('fileStaged')],
    ['after the plan', dyingAt('filePlanned')],
    ['between chunks', dyingAt('chunkApplied', chunk(2))],
  ])('%s gets the same object staged again, with the same result', async (_, events) => {
    await putFiles();
    let lost = 0;
    harness.startWorker({ settings, events: { ...events, stagingLost: () => (lost += 1) } });
    await harness.holdRetries();
    const runId = await harness.open(goal());
    await harness.resume(async () => expect(await harness.loseStaging()).toBeGreaterThan(0));
    await expectWhole(await harness.finished(runId));
    expect(lost).toBe(1);
  });

  it('and an object that was replaced meanwhile fails clearly', async () => {
    await putFiles();
    harness.startWorker({ settings, events: dyingAt('chunkApplied', chunk(2)) });
    await harness.holdRetries();
    const runId = await harness.open(goal());
    await harness.resume(async () => {
      await harness.put('customers.csv', 'id,points,tag\nc1,5,t\n');
      await harness.loseStaging();
    });
    const run = await harness.finished(runId);
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'object-changed' } });
    expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
  });
});

describe('a writer that takes an identity between plan and apply', () => {
  it('keeps it: the row updates the profile that has it by then', async () => {
    await putFiles();
    harness.startWorker({ settings, events: dyingAt('filePlanned') });
    await harness.holdRetries();
    const runId = await harness.open(goal());
    await harness.resume(async () => {
      await harness.database.query(sql`
        WITH made AS (
          INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
          SELECT uuidv7(), w.id, g.id, '{"points": 10}', 1 FROM profile.workspace w JOIN profile.domain_group g ON g.workspace_id = w.id
          RETURNING id, domain_group_id
        )
        INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
        SELECT made.domain_group_id, n.id, 'c5', made.id FROM made JOIN profile.identity_namespace n ON n.code = 'customerId'`);
    });
    const run = await harness.finished(runId);
    expect(run).toMatchObject({
      outcome: 'succeeded',
      counts: { rowsRead: 180, created: 177, updated: 3, profilesCreated: 59, profilesUpdated: 1, events: 120 },
    });
    expect((await harness.profiles())['c5']).toEqual({ points: 10.3, tags: ['t0', 't1', 't2'] });
  });
});

describe('a run that was cancelled between chunks', () => {
  it('says what it did, and the next run goes on there without adding a sum twice', async () => {
    await putFiles();
    let cancelled = '';
    const events: ImportEvents = {
      ...silentEvents,
      chunkApplied: ({ runId, number }) => {
        if (number === 1 && cancelled === '') {
          cancelled = runId;
          void harness.cancel(runId);
        }
      },
    };
    // Chunk 2 waits until the cancel has arrived. The customers' first lines are 2 to 61: chunks 0 to 2 hold 28 of them.
    await harness.database.query(sql`
      CREATE FUNCTION importer.slow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.number = 2 THEN PERFORM pg_sleep(6); END IF; RETURN NEW; END $$`);
    await harness.database.query(
      sql`CREATE TRIGGER slow BEFORE INSERT ON importer.chunk FOR EACH ROW EXECUTE FUNCTION importer.slow()`,
    );
    harness.startWorker({ settings: { ...settings, lanes: 1 }, events });
    const first = await harness.run(goal());
    expect(first).toMatchObject({
      outcome: 'cancelled',
      counts: { rowsRead: 180, created: 84, skipped: { 'not-applied': 96 } },
    });
    expect(outcomes(first.counts)).toBe(180);
    expect((await harness.tables()).every((name) => name.startsWith('plan_'))).toBe(true);

    const second = await harness.run(goal());
    await expectWhole(second);
    expect(second.notes.join()).toContain(`was begun by run ${first.runId}`);
  });
});

describe('a worker that is stopped', () => {
  it('hands its run back, and another one goes on', async () => {
    await putFiles();
    await harness.database.query(sql`
      CREATE FUNCTION importer.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$`);
    await harness.database.query(
      sql`CREATE TRIGGER slow BEFORE INSERT ON importer.chunk FOR EACH ROW EXECUTE FUNCTION importer.slow()`,
    );
    const first = harness.startWorker({ settings: { ...settings, lanes: 1 } });
    const runId = await harness.open(goal());
    await waitFor(async () => (await harness.database.query(sql`SELECT 1 FROM importer.chunk`)).rowCount > 0);
    await first.stop();
    harness.startWorker({ settings });
    await expectWhole(await harness.finished(runId));
  });
});

import { sql } from '@millrace/database';
import { eraseProfiles } from '@millrace/profile-store';
import { FixRows } from '../src/fix-rows/fix-rows.js';
import { rejectFile } from '../src/fix-rows/reject-file.js';
import { rehearsedFiles } from '../src/storage/rehearsals.js';
import { ImportHarness, outcomes, silentEvents } from './import-harness.js';

let harness: ImportHarness;

beforeEach(async () => {
  harness = await ImportHarness.create('old-rows', [{ name: 'name' }, { name: 'points', type: 'integer' }]);
});
afterEach(() => harness.close());

const mappings = [
  { column: 'name', property: 'name' },
  { column: 'points', property: 'points', rule: 'sum' },
];
const dated = (changes: Record<string, unknown> = {}) =>
  harness.goal({ mappings, occurredAtColumn: 'at', rejectLimit: {}, ...changes });

/** Makes a person and erases them on 15 January: every file of a test is newer. */
async function erased(...ids: readonly string[]): Promise<void> {
  await harness.put('customers-0.csv', `id,name,points\n${ids.map((id) => `${id},Old,1`).join('\n')}\n`);
  const worker = harness.startWorker();
  await harness.run(harness.goal({ mappings }));
  await worker.stop();
  const chosen = sql`SELECT profile_id FROM profile.identity WHERE value = ANY (${ids}::text[])`;
  await harness.database.transaction((tx) => eraseProfiles(tx, harness.workspaceId, chosen));
  await harness.database.query(sql`UPDATE profile.tombstone SET erased_at = '2026-01-15T12:00:00Z'`);
  await harness.client.delete(harness.bucket, 'in/customers-0.csv');
}

const rows = [
  'id,name,points,at',
  'a,Ann,1,2026-01-10T00:00:00Z',
  'b,Bob,1,2026-01-10T00:00:00Z',
  'a,Ann again,10,2026-02-01T00:00:00Z',
  'c,Cid,1,2026-01-15T12:00:00Z',
  'd,Dan,1,',
  'a,,100,2026-01-14T23:59:59Z',
];

it('rows older than an erasure do not bring the person back, newer ones of the same file do', async () => {
  await erased('a', 'b', 'c', 'd');
  harness.startWorker({ settings: { chunkLines: 2 } });
  await harness.put('customers-1.csv', `${rows.join('\n')}\n`);
  const rehearsed = await harness.run(dated(), { dryRun: true });
  const run = await harness.run(dated());
  for (const { counts } of [rehearsed, run]) {
    // At the very moment of the erasure, and without a time in a newer file, a row is no older than it.
    expect(counts).toMatchObject({ rowsRead: 6, created: 3, skipped: { erased: 3 } });
    expect(outcomes(counts)).toBe(6);
  }
  expect(await harness.profiles()).toEqual({
    a: { name: 'Ann again', points: 10 },
    c: { name: 'Cid', points: 1 },
    d: { name: 'Dan', points: 1 },
  });
  expect(run.notes.join()).toContain('3 rows name persons erased after it was written: not applied');
  const [file] = await rehearsedFiles(harness.database, rehearsed.runId);
  expect(file?.samples.filter(({ outcome }) => outcome === 'withheld').map(({ line }) => line)).toEqual([2, 3, 7]);
});

it('the goal may let them, and nobody is held back who was never erased', async () => {
  await erased('a');
  harness.startWorker();
  await harness.put('customers-1.csv', `${rows.join('\n')}\n`);
  const run = await harness.run(dated({ erasedProfiles: 'create' }));
  expect(run.counts).toMatchObject({ rowsRead: 6, created: 6, skipped: {} });
  expect((await harness.profiles())['a']).toEqual({ name: 'Ann again', points: 111 });
});

it('an old row ties no other rows together', async () => {
  await erased('a');
  harness.startWorker();
  await harness.put(
    'customers-1.csv',
    'id,mail,name,points,at\na,x@example.org,Old,1,2026-01-01\nb,x@example.org,New,1,2026-02-01\na,y@example.org,Anew,1,2026-02-01\n',
  );
  const run = await harness.run(
    dated({
      matching: {
        identifiers: [
          { column: 'id', namespace: 'customerId' },
          { column: 'mail', namespace: 'email' },
        ],
      },
    }),
  );
  expect(run.counts).toMatchObject({ rowsRead: 3, created: 2, ambiguous: 0, skipped: { erased: 1 } });
  expect(await harness.profiles('email')).toMatchObject({
    'x@example.org': { name: 'New' },
    'y@example.org': { name: 'Anew' },
  });
});

it('an event in the row tells its time, and its linked rows are withheld with it', async () => {
  await erased('a', 'b');
  harness.startWorker();
  await harness.put('customers-1.csv', 'id,order,at\na,o1,2026-01-10\na,o2,2026-02-01\nb,o3,2026-01-14\n');
  await harness.put('lines-1.csv', 'order,sku\no1,p1\no1,p2\no2,p1\no3,p9\no9,p9\n');
  const run = await harness.run(
    harness.goal({
      linked: [
        {
          alias: 'lines',
          pattern: { kind: 'wildcard', pattern: 'lines*' },
          column: 'order',
          parentColumn: 'order',
        },
      ],
      events: [
        {
          type: 'order',
          idColumn: 'order',
          occurredAtColumn: 'at',
          lists: [{ name: 'products', file: 'lines', mappings: [{ column: 'sku', property: 'productId' }] }],
        },
      ],
    }),
  );
  expect(run.counts).toMatchObject({
    rowsRead: 3,
    created: 1,
    skipped: { erased: 2 },
    events: 1,
    linkedRowsRead: 5,
    linkedRowsUsed: 1,
    linkedRowsWithheld: 3,
    linkedRowsOrphaned: 1,
  });
});

it('a time that cannot be read rejects its row, or its field alone where the goal says so', async () => {
  await erased('a');
  harness.startWorker();
  await harness.put('customers-1.csv', 'id,name,points,at\na,Ann,1,yesterday\n');
  const rejected = await harness.run(dated());
  expect(rejected.counts).toMatchObject({ rowsRead: 1, rejected: 1 });
  const kept = await harness.run(dated({ badValue: 'reject-field' }), { repeatSums: true });
  expect(kept.counts).toMatchObject({ created: 1, fieldsRejected: 1 });
  await harness.put('customers-1.csv', 'id,name,points\na,Ann,1\n');
  expect(await harness.run(dated())).toMatchObject({ outcome: 'failed', error: { code: 'column-missing' } });
});

it('what the plan held back stays so where staging is lost, and a row corrected later is judged by its own time', async () => {
  await erased('a', 'b');
  let died = false;
  const events = {
    ...silentEvents,
    filePlanned: (): void => {
      if (died) return;
      died = true;
      throw new Error('the worker dies here');
    },
  };
  await harness.holdRetries();
  harness.startWorker({ events });
  await harness.put(
    'customers-1.csv',
    'id,name,points,at\na,Ann,1,2026-01-10\nc,Cid,1,2026-01-10\nb,Bob,many,2026-01-10\na,Ann,5,2026-02-10\n',
  );
  const runId = await harness.open(dated());
  await harness.resume(async () => {
    expect(await harness.loseStaging()).toBe(1);
  });
  const run = await harness.finished(runId);
  expect(run).toMatchObject({
    outcome: 'succeeded',
    counts: { rowsRead: 4, created: 2, rejected: 1, skipped: { erased: 1 } },
  });
  expect((await harness.profiles())['a']).toEqual({ name: 'Ann', points: 5 });
  let file = '';
  for await (const part of rejectFile(harness.database, runId)) file += part;
  const fixer = new FixRows({ database: harness.database, wakeUps: harness.wakeUps, sealingKey: harness.sealingKey });
  expect(await fixer.fix(runId, file.replaceAll('many', '1'))).toMatchObject({ created: 0, skipped: { erased: 1 } });
  expect(Object.keys(await harness.profiles())).toEqual(['a', 'c']);
});

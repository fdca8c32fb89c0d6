import { sql } from '@millrace/database';
import type { ImportCounts } from '@millrace/domain';
import { rehearsedFiles } from '../src/storage/rehearsals.js';
import { ImportHarness, outcomes, type FinishedRun } from './import-harness.js';

let harness: ImportHarness;
beforeAll(async () => {
  harness = await ImportHarness.create('dry-run', [
    { name: 'name' },
    { name: 'city' },
    { name: 'points', type: 'decimal' },
    { name: 'tags', list: true },
  ]);
  harness.startWorker({ settings: { chunkLines: 3 } });
});
afterAll(() => harness.close());

let directory = 0;
function place(changes: Record<string, unknown> = {}) {
  directory += 1;
  const source = { bucket: harness.bucket, directory: `d${directory}`, pattern: { kind: 'every' } };
  const goal = harness.goal({
    source,
    mappings: [
      { column: 'name', property: 'name' },
      { column: 'city', property: 'city', rule: 'set-or-clear' },
      { column: 'points', property: 'points', rule: 'sum' },
    ],
    ...changes,
  });
  const put = (name: string, content: string): Promise<void> =>
    harness.client.put(harness.bucket, `${goal.source.directory}/${name}`, content);
  return { goal, put };
}

/** What an import counted, without the profiles it names: a dry run leaves none to be named. */
const counted = ({ counts }: FinishedRun): ImportCounts => ({ ...counts, lastCreated: [], lastUpdated: [] });

async function stored(): Promise<string> {
  const { rows } = await harness.database.query<{ all: string }>(sql`
    SELECT json_build_array(
      (SELECT json_agg(p ORDER BY p.id) FROM profile.profile p), (SELECT json_agg(i ORDER BY i.value) FROM profile.identity i),
      (SELECT json_agg(e ORDER BY e.id) FROM profile.event e), (SELECT count(*) FROM profile.outbox),
      (SELECT json_agg(l ORDER BY l.id) FROM importer.ledger l), (SELECT count(*) FROM importer.chunk))::text AS all`);
  return rows[0]!.all;
}

it('says what an import would do, changes nothing, and the import then does just that', async () => {
  const { goal, put } = place();
  await put('a.csv', 'id,name,city,points\ndry-1,Ann,Ghent,1\ndry-2,Bob,Lille,2\ndry-3,Cid,Rome,\n');
  await harness.run(goal);
  await put(
    'b.csv',
    'id,name,city,points\ndry-1,Ann,,0.5\ndry-2,Rob,Lille,\ndry-3,Cid,Rome,\ndry-4,Dan,Oslo,1\ndry-5,Eve,,x\ndry-4,Dan,Bonn,2\n,Nobody,,\n',
  );
  const before = await stored();
  const dry = await harness.run(goal, { dryRun: true });
  expect(dry).toMatchObject({ outcome: 'succeeded', counts: { filesSkipped: 1, rowsRead: 7, profilesCreated: 1 } });
  expect(outcomes(dry.counts)).toBe(dry.counts.rowsRead);
  expect(await stored()).toBe(before);
  expect(await harness.tables()).toEqual([]);
  const [file, ...others] = await rehearsedFiles(harness.database, dry.runId);
  expect(others).toEqual([]);
  expect(file).toMatchObject({ name: `d${directory}/b.csv`, profilesCleared: 1 });
  const known = expect.any(String);
  expect(file!.samples).toEqual(
    [
      { outcome: 'created', line: 5, after: { name: 'Dan', city: 'Bonn', points: 3 } },
      {
        outcome: 'updated',
        line: 3,
        profileId: known,
        before: { name: 'Bob' },
        after: { name: 'Rob' },
      },
      {
        outcome: 'cleared',
        line: 2,
        profileId: known,
        before: { city: 'Ghent', points: 1 },
        after: { points: 1.5 },
      },
      { outcome: 'unchanged', line: 4, profileId: known },
      { outcome: 'rejected', line: 6, column: 'points', reason: known },
      { outcome: 'rejected', line: 8, reason: known, column: known },
    ].map((sample) => expect.objectContaining(sample)) as never,
  );

  const real = await harness.run(goal);
  expect(counted(real)).toEqual(dry.counts);
  expect(await harness.profiles()).toMatchObject({ 'dry-1': { name: 'Ann', points: 1.5 } });
});

it('judges each file after those before it', async () => {
  const { goal, put } = place();
  await put('1.csv', 'id,name,city,points\nseq-1,Ann,Ghent,1\nseq-2,Bob,Lille,\n');
  await put('2.csv', 'id,name,city,points\nseq-1,Ann,Ghent,\nseq-2,Bob,Paris,\nseq-3,Cid,Rome,\n');
  const dry = await harness.run(goal, { dryRun: true });
  const real = await harness.run(goal);
  expect(dry.counts).toMatchObject({ files: 2, created: 3, updated: 1, unchanged: 1 });
  expect(counted(real)).toEqual(dry.counts);
});

it('tells unmatched and ambiguous rows', async () => {
  const { goal, put } = place({
    matching: {
      identifiers: [
        { column: 'id', namespace: 'customerId' },
        { column: 'email', namespace: 'email' },
      ],
      allowCreation: true,
      policy: 'first-match',
    },
    mappings: [{ column: 'name', property: 'name' }],
  });
  await put('1.csv', 'id,email,name\namb-1,a@x.org,A\namb-2,b@x.org,B\n');
  await harness.run(goal);
  const rows = 'id,email,name\namb-1,b@x.org,C\nnew-1,new@x.org,N\nnew-2,a@x.org,D\n';
  await put('2.csv', rows);
  const strict = { ...goal, matching: { ...goal.matching, policy: 'unambiguous' as const, allowCreation: false } };
  const dry = await harness.run(strict, { dryRun: true });
  expect(dry.counts).toMatchObject({ ambiguous: 2, skipped: { unmatched: 3 - 2 } });
  const samples = (await rehearsedFiles(harness.database, dry.runId)).flatMap((file) => file.samples);
  expect(samples.map(({ outcome }) => outcome)).toEqual(expect.arrayContaining(['ambiguous', 'unmatched']));
  for (const each of [strict, goal]) {
    const first = await harness.run(each, { dryRun: true, repeatSums: true });
    expect(counted(await harness.run(each, { repeatSums: true }))).toEqual(first.counts);
  }
});

it('keeps the source as it is and counts events', async () => {
  const { goal, put } = place({
    afterImport: 'delete',
    linked: [
      { alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'customer', parentColumn: 'id' },
    ],
    mappings: [{ column: 'name', property: 'name' }],
    events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
  });
  await put('root.csv', 'id,name\nev-1,Ann\nev-2,Bob\n');
  await put('orders.csv', 'order,customer,at\no1,ev-1,2024-01-01\no2,ev-1,2024-01-02\no3,nobody,2024-01-03\n');
  const before = await stored();
  const dry = await harness.run(goal, { dryRun: true });
  expect(dry).toMatchObject({ outcome: 'succeeded', counts: { created: 2, events: 2, linkedRowsOrphaned: 1 } });
  expect(await stored()).toBe(before);
  const real = await harness.run(goal);
  expect(counted(real)).toEqual(dry.counts);
});

it('counts what would be erased, and erases nobody', async () => {
  const { goal, put } = place({ deleteFlag: { column: 'gone' }, mappings: [{ column: 'name', property: 'name' }] });
  await put('1.csv', 'id,name,gone\ndel-1,Ann,false\ndel-2,Bob,false\n');
  await harness.run(goal);
  await put('2.csv', 'id,name,gone\ndel-1,Ann,true\ndel-2,Rob,false\ndel-3,Cid,true\n');
  const before = await stored();
  const dry = await harness.run(goal, { dryRun: true });
  expect(dry.counts).toMatchObject({ erased: 1, updated: 1, skipped: { unmatched: 1 } });
  expect(await stored()).toBe(before);
  const [file] = await rehearsedFiles(harness.database, dry.runId);
  expect(file!.samples.filter(({ outcome }) => outcome === 'erased')).toMatchObject([{ line: 2 }]);
  expect(counted(await harness.run(goal))).toEqual(dry.counts);
});

it('takes a transaction per chunk where there are many rows, and says that files are judged alone', async () => {
  const { goal, put } = place();
  const lines = Array.from({ length: 20 }, (_, line) => `many-${line % 17},N${line},C,1\n`).join('');
  await put('1.csv', `id,name,city,points\n${lines}`);
  const other = await ImportHarness.create('dry-run-large', [
    { name: 'name' },
    { name: 'city' },
    { name: 'points', type: 'decimal' },
  ]);
  try {
    other.startWorker({ settings: { chunkLines: 3, rowsRehearsedTogether: 0 } });
    const dry = await other.run(goal, { dryRun: true });
    expect(dry).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 20, profilesCreated: 17 } });
    expect(await other.tables()).toEqual([]);
    expect((await other.statistics()).profiles).toBe(0);
    expect(counted(await other.run(goal))).toEqual(dry.counts);
    await put('2.csv', `id,name,city,points\n${lines}`);
    await put('3.csv', `id,name,city,points\n${lines}`);
    expect((await other.run(goal, { dryRun: true })).notes.join()).toContain('judged by what is stored now');
  } finally {
    await other.close();
  }
});

it('fails as the import would', async () => {
  const { goal, put } = place({ rejectLimit: { rows: 0 } });
  await put('1.csv', 'id,name,city,points\n,a,b,\n');
  const dry = await harness.run(goal, { dryRun: true });
  expect(dry).toMatchObject({ outcome: 'failed', error: { code: 'too-many-rejects' } });
  expect(await harness.tables()).toEqual([]);
});

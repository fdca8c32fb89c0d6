import { Readable } from 'node:stream';
import { crc32, gzipSync } from 'node:zlib';
import { sql } from '@millrace/database';
import type { ObjectStore } from '@millrace/object-store';
import { waitFor } from '@millrace/testing';
import type { ImportWorker } from '../src/run-import/import-worker.js';
import { ImportHarness, outcomes } from './import-harness.js';

let harness: ImportHarness;
let resting: ImportWorker;

beforeAll(async () => {
  harness = await ImportHarness.create('import-files', [
    { name: 'name' },
    { name: 'city' },
    { name: 'points', type: 'decimal' },
    { name: 'born', type: 'date' },
  ]);
  resting = harness.startWorker();
});
afterAll(() => harness.close());

/** One entry, stored. */
function zipOf(name: string, text: string): Buffer {
  const head = Buffer.alloc(30);
  head.writeUInt32LE(0x04034b50);
  head.writeUInt32LE(crc32(text), 14);
  head.writeUInt32LE(text.length, 18);
  head.writeUInt32LE(text.length, 22);
  head.writeUInt16LE(name.length, 26);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  return Buffer.concat([head, Buffer.from(name + text), end]);
}

let directory = 0;
/** A goal with a directory of its own. */
function place(changes: Record<string, unknown> = {}, pattern: object = { kind: 'every' }) {
  directory += 1;
  const goal = harness.goal({ source: { bucket: harness.bucket, directory: `d${directory}`, pattern }, ...changes });
  const put = (name: string, content: string | Uint8Array): Promise<void> =>
    harness.client.put(harness.bucket, `${goal.source.directory}/${name}`, content);
  return { goal, put };
}
const mappings = [
  { column: 'name', property: 'name' },
  { column: 'city', property: 'city' },
];

describe('a plain file', () => {
  it('creates profiles with their properties', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv', 'id,name,city\nplain-1,Ann,Ghent\nplain-2,Bob,Lille\n');
    const run = await harness.run(goal);
    expect(run).toMatchObject({
      outcome: 'succeeded',
      counts: { files: 1, rowsRead: 2, created: 2, profilesCreated: 2 },
    });
    expect(await harness.profiles()).toMatchObject({
      'plain-1': { name: 'Ann', city: 'Ghent' },
      'plain-2': { name: 'Bob', city: 'Lille' },
    });
    expect(await harness.tables()).toEqual([]);
  });

  it('counts created, updated and unchanged rows apart', async () => {
    const { goal, put } = place({ mappings });
    await put('a.csv', 'id,name,city\nmixed-1,Ann,Ghent\nmixed-2,Bob,Lille\n');
    await harness.run(goal);
    await put('b.csv', 'id,name,city\nmixed-1,Ann,Ghent\nmixed-2,Bob,Paris\nmixed-3,Cid,Rome\n');
    const { counts } = await harness.run(goal);
    expect(counts).toMatchObject({ files: 1, filesSkipped: 1, rowsRead: 3, created: 1, updated: 1, unchanged: 1 });
  });

  it('names the last profiles it created and updated, whatever lane applied them', async () => {
    const { goal, put } = place({ mappings });
    const row = (number: number, city: string): string => `last-${number},Ann,${city}\n`;
    const rows = (from: number, to: number, city: string): string =>
      Array.from({ length: to - from }, (_, index) => row(from + index, city)).join('');
    await put('a.csv', `id,name,city\n${rows(0, 2500, 'Ghent')}`);
    const ids = async (profiles: readonly string[]): Promise<readonly string[]> => {
      const { rows: found } = await harness.database.query<{ id: string; value: string }>(
        sql`SELECT profile_id AS id, value FROM profile.identity WHERE profile_id = ANY (${profiles}::uuid[])`,
      );
      return profiles.map((profile) => found.find(({ id }) => id === profile)?.value ?? 'none');
    };
    const names = (...numbers: readonly number[]): readonly string[] => numbers.map((number) => `last-${number}`);
    const first = (await harness.run(goal)).counts;
    expect(await ids(first.lastCreated)).toEqual(names(2499, 2498, 2497, 2496, 2495));
    expect(first.lastUpdated).toEqual([]);
    await put('b.csv', `id,name,city\n${rows(0, 3, 'Lille')}${rows(3, 2490, 'Ghent')}${row(3000, 'Lille')}`);
    const { counts } = await harness.run(goal);
    expect(await ids(counts.lastUpdated)).toEqual(names(2, 1, 0));
    expect(await ids(counts.lastCreated)).toEqual(names(3000));
  });

  it('is unpacked when it is gzipped', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv.gz', gzipSync('id,name,city\ngzip-1,Ann,Ghent\n'));
    expect((await harness.run(goal)).counts).toMatchObject({ rowsRead: 1, created: 1 });
  });

  it('is unpacked when it is zipped', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.zip', zipOf('customers.csv', 'id,name,city\nzip-1,Ann,Ghent\n'));
    expect((await harness.run(goal)).counts).toMatchObject({ rowsRead: 1, created: 1 });
  });

  it('may have no rows', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv', 'id,name,city\n');
    expect(await harness.run(goal)).toMatchObject({ outcome: 'succeeded', counts: { files: 1, rowsRead: 0 } });
  });

  it('skips rows that match no profile when none may be created', async () => {
    const { goal, put } = place({
      mappings,
      matching: { identifiers: [{ column: 'id', namespace: 'customerId' }], allowCreation: false },
    });
    await put('customers.csv', 'id,name,city\nnobody-1,Ann,Ghent\n');
    expect((await harness.run(goal)).counts).toMatchObject({ rowsRead: 1, skipped: { unmatched: 1 }, created: 0 });
  });
});

describe('several identifiers', () => {
  const matching = {
    identifiers: [
      { column: 'id', namespace: 'customerId' },
      { column: 'email', namespace: 'email' },
    ],
  };

  it('join rows that name each other to one profile', async () => {
    const { goal, put } = place({ mappings: mappings.slice(0, 1), matching });
    await put('c.csv', 'id,email,name\njoin-1,Join@example.com,Ann\n,join@example.com,Anne\njoin-1,,Annie\n');
    const { counts } = await harness.run(goal);
    expect(counts).toMatchObject({ rowsRead: 3, created: 3, profilesCreated: 1 });
    expect((await harness.profiles('email'))['join@example.com']).toEqual({ name: 'Annie' });
  });

  it('that find two profiles make the row ambiguous: not applied, and told', async () => {
    const { goal, put } = place({ mappings: mappings.slice(0, 1), matching });
    await put('a.csv', 'id,email,name\ntwo-1,two-1@example.com,Ann\ntwo-2,two-2@example.com,Bob\n');
    await put('b.csv', 'id,email,name\ntwo-1,two-2@example.com,Cid\n');
    const run = await harness.run(goal);
    expect(run.counts).toMatchObject({ rowsRead: 3, created: 2, ambiguous: 1 });
    expect(outcomes(run.counts)).toBe(3);
    expect(run.notes.join()).toMatch(/b\.csv: 1 row matches several profiles/);
    const { rows: found } = await harness.database.query<{ id: string }>(
      sql`SELECT profile_id AS id FROM profile.identity WHERE value IN ('two-1', 'two-2') ORDER BY 1`,
    );
    const { rows: listed } = await harness.database.query<{ line: number; scope: string; message: string }>(sql`
      SELECT r.line::int AS line, r.scope, r.message FROM importer.reject r JOIN importer.file f ON f.id = r.file_id
      WHERE f.run_id = ${run.runId}`);
    expect(listed).toEqual([
      {
        line: 2,
        scope: 'ambiguous',
        message: `the row, or rows with a common identifier, find several profiles: ${found.map(({ id }) => id).join(', ')}`,
      },
    ]);
    expect(await harness.profiles()).toMatchObject({ 'two-1': { name: 'Ann' }, 'two-2': { name: 'Bob' } });
  });
});

describe('several files', () => {
  it('act in natural name order', async () => {
    const { goal, put } = place({ mappings });
    await put('f_10.csv', 'id,name,city\norder-1,Ten,\n');
    await put('f_9.csv', 'id,name,city\norder-1,Nine,\n');
    const { counts } = await harness.run(goal);
    expect(counts).toMatchObject({ files: 2, rowsRead: 2, created: 1, updated: 1 });
    expect((await harness.profiles())['order-1']).toEqual({ name: 'Ten' });
  });

  it('are not asked for: a directory without matching files is told, and no failure', async () => {
    const { goal } = place({}, { kind: 'wildcard', pattern: 'x*.csv' });
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { files: 0, rowsRead: 0 } });
    expect(run.notes).toEqual([expect.stringMatching(/no file in .*\/d\d+ matches "x\*\.csv"/)]);
  });
});

describe('the ledger', () => {
  it('skips a file that was imported under the same configuration, naming the run', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv', 'id,name,city\nledger-1,Ann,Ghent\n');
    const first = await harness.run(goal);
    const second = await harness.run({ ...goal, name: 'renamed' });
    expect(second.counts).toMatchObject({ files: 0, filesSkipped: 1, rowsRead: 0 });
    expect(second.notes.join()).toContain(`customers.csv was skipped: run ${first.runId}`);
  });

  it('imports a changed file again', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv', 'id,name,city\nledger-2,Ann,Ghent\n');
    await harness.run(goal);
    await put('customers.csv', 'id,name,city\nledger-2,Ann,Bruges\n');
    expect((await harness.run(goal)).counts).toMatchObject({ filesSkipped: 0, updated: 1 });
  });

  it('imports a file again under another configuration', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv', 'id,name,city\nledger-3,Ann,Ghent\n');
    await harness.run(goal);
    expect((await harness.run({ ...goal, mappings: goal.mappings.slice(1) })).counts).toMatchObject({
      filesSkipped: 0,
      unchanged: 1,
    });
  });

  it('does not repeat sums under another configuration unless somebody agreed', async () => {
    const sum = { column: 'points', property: 'points', rule: 'sum' };
    const { goal, put } = place({ mappings: [sum] });
    await put('customers.csv', 'id,points,city\nledger-4,0.1,Ghent\nledger-4,0.2,Ghent\n');
    await harness.run(goal);
    const other = harness.goal({ ...goal, mappings: [sum, { column: 'city', property: 'city' }] });
    const refused = await harness.run(other);
    expect(refused.counts.filesSkipped).toBe(1);
    expect(refused.notes.join()).toContain('would add its sums a second time');
    expect((await harness.profiles())['ledger-4']).toEqual({ points: 0.3 });
    await harness.run(other, { repeatSums: true });
    expect((await harness.profiles())['ledger-4']).toEqual({ points: 0.6, city: 'Ghent' });
  });
});

describe('rejected rows', () => {
  it('are listed with line, column and reason, and the others imported', async () => {
    const { goal, put } = place({ mappings: [{ column: 'born', property: 'born' }] });
    await put(
      'customers.csv',
      'id,born\nreject-1,2001-02-03\n,2001-02-03\nreject-3,yesterday\nreject-4\nreject-5,"2001-01-01"\nreject-6,2002-02-02\nreject-7,2003-03-03\n',
    );
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 7, created: 4, rejected: 3 } });
    expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
    const { rows } = await harness.database.query(sql`
      SELECT r.line::int, r.scope, r.column_name, r.code, r.raw FROM importer.reject r JOIN importer.file f ON f.id = r.file_id
      WHERE f.run_id = ${run.runId} ORDER BY r.line`);
    expect(rows).toEqual([
      { line: 3, scope: 'row', column_name: 'id', code: 'no-identifier', raw: ',2001-02-03' },
      { line: 4, scope: 'row', column_name: 'born', code: 'bad-value', raw: 'reject-3,yesterday' },
      { line: 5, scope: 'row', column_name: null, code: 'too-few-fields', raw: expect.stringContaining('reject-4') },
    ]);
    expect(run.notes).toContainEqual(
      expect.stringMatching(/customers\.csv: 1 row rejected \(line 4, column "born"\): the value is not a date/),
    );
    expect(run.notes.join()).not.toContain('yesterday');
  });

  it('leave a ledger of the fields of the rows that were kept', async () => {
    const goal = harness.goal({
      source: { bucket: harness.bucket, directory: 'fields', pattern: { kind: 'every' } },
      csv: { nullWords: ['NULL'], shortRows: 'pad' },
      badValue: 'reject-field',
      deleteFlag: { column: 'gone' },
      consent: [{ column: 'news', objective: 'news' }],
      mappings: [
        { column: 'name', property: 'name' },
        { column: 'born', property: 'born', rule: 'set-or-clear' },
      ],
    });
    const rows = [
      'f1,Ann,2000-01-01,yes,',
      'f2,NULL,,perhaps,',
      'f3,Cid',
      'f4,Dan,never,no,',
      ',Eve,2000-01-01,yes,',
      'f1,x,x,x,yes',
    ];
    await harness.client.put(harness.bucket, 'fields/a.csv', `id,name,born,news,gone\n${rows.join('\n')}\n`);
    const { counts } = await harness.run(goal);
    // Three mapped columns, four rows kept; one is rejected, and one says nothing but that somebody is erased.
    expect(counts).toMatchObject({
      rowsRead: 6,
      rejected: 1,
      fieldsMapped: 12,
      fieldsWithValue: 6,
      fieldsEmpty: 4,
      fieldsLeftOut: 2,
      fieldsRejected: 2,
    });
  });

  it('lose only the bad field where the goal says so', async () => {
    const { goal, put } = place({
      mappings: [{ column: 'born', property: 'born' }, ...mappings.slice(0, 1)],
      badValue: 'reject-field',
    });
    await put('customers.csv', 'id,born,name\nfield-1,yesterday,Ann\n');
    expect((await harness.run(goal)).counts).toMatchObject({ rowsRead: 1, created: 1, rejected: 0, fieldsRejected: 1 });
    expect((await harness.profiles())['field-1']).toEqual({ name: 'Ann' });
  });

  it('stop the file before anything is applied when there are too many', async () => {
    const { goal, put } = place({ mappings: [{ column: 'born', property: 'born' }], rejectLimit: { rows: 1 } });
    await put('customers.csv', 'id,born\nlimit-1,2001-02-03\nlimit-2,x\nlimit-3,y\n');
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'too-many-rejects' } });
    expect(run.error?.message).toMatch(/customers\.csv: 2 of the 3 rows read were rejected, and the goal allows 1/);
    expect(run.notes.join()).toContain('2 rows rejected (first in line 3, column "born")');
    expect(Object.keys(await harness.profiles()).filter((id) => id.startsWith('limit'))).toEqual([]);
    expect(await harness.tables()).toEqual([]);
  });
});

describe('what cannot be imported', () => {
  it.each([
    [
      'a truncated gzip',
      'c.csv.gz',
      gzipSync(`id,name\n${'broken-1,x\n'.repeat(5000)}`).subarray(0, 60),
      'gzip-truncated',
    ],
    ['a file that is no gzip but says so', 'c.csv.gz', 'id,name\nbroken-2,x\n', 'not-gzip'],
    ['a file that is no zip but says so', 'c.csv.zip', 'id,name\nbroken-2,x\n', 'not-zip'],
    ['a file without the mapped column', 'c.csv', 'id,title\nbroken-3,x\n', 'column-missing'],
    [
      'a large file without the mapped column',
      'c.csv',
      `id,title\n${'broken-5,x\n'.repeat(500_000)}`,
      'column-missing',
    ],
    ['a truncated zip', 'c.csv', Buffer.from('504b0304140000000800', 'hex'), 'zip-truncated'],
    ['a file that is empty', 'c.csv', '', 'empty-file'],
    ['a file that says it is encrypted and is not', 'c.csv.pgp', 'id,name\nbroken-4,x\n', 'not-pgp'],
  ])('%s fails the run, naming the file, and nothing is applied', async (_, name, content, code) => {
    const { goal, put } = place({ mappings: mappings.slice(0, 1) });
    await put(name, content);
    const before = await harness.statistics();
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'failed', error: { code } });
    expect(run.error?.message).toContain(`/${name}`);
    expect(await harness.statistics()).toEqual(before);
    expect(await harness.tables()).toEqual([]);
  });

  it('a bucket that is not there is named', async () => {
    const goal = harness.goal({ source: { bucket: 'no-such-bucket', pattern: { kind: 'every' } } });
    const run = await harness.run(goal);
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'bucket-not-found' } });
    expect(run.error?.message).toContain('no-such-bucket');
  });

  it('a property that is not there is named before anything is read', async () => {
    const { goal } = place({ mappings: [{ column: 'name', property: 'nobody.knows' }] });
    expect(await harness.run(goal)).toMatchObject({ outcome: 'failed', error: { code: 'property-not-found' } });
  });

  it('leaves the worker able to do the next run', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv', 'id,name,city\nafter-1,Ann,Ghent\n');
    expect((await harness.run(goal)).outcome).toBe('succeeded');
  });
});

describe('a run that is cancelled while it reads', () => {
  it('ends at once, even where the source delivers nothing, and leaves nothing', async () => {
    const { goal, put } = place({ mappings });
    await put('customers.csv', `id,name,city\n${'stalled-1,Ann,Ghent\n'.repeat(20_000)}`);
    const openStore = (): ObjectStore => {
      const store = harness.openStore();
      return {
        ...store,
        read: async (...place) => {
          const body = await store.read(...place);
          // The first bytes come, and then no more.
          const { value } = (await body[Symbol.asyncIterator]().next()) as { value: Buffer };
          body.destroy();
          const stalled = new Readable({ read: () => undefined });
          stalled.push(value.subarray(0, 4096));
          return stalled;
        },
      };
    };
    await resting.stop();
    const worker = harness.startWorker({ openStore });
    const runId = await harness.open(goal);
    await waitFor(async () => (await harness.runEvents(runId)).some((event) => event.kind === 'goal-started'));
    await harness.cancel(runId);
    expect(await harness.finished(runId, 5000)).toMatchObject({ outcome: 'cancelled', counts: { rowsRead: 0 } });
    expect(await harness.tables()).toEqual([]);
    await worker.stop();
    resting = harness.startWorker();
  });
});

describe('after the import', () => {
  it('a linked file that several roots share is put away with the last of them', async () => {
    const { goal, put } = place(
      {
        afterImport: 'done-suffix',
        linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'id', parentColumn: 'id' }],
        events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
      },
      { kind: 'wildcard', pattern: 'p_*.csv' },
    );
    await put('p_1.csv', 'id\nshared-1\n');
    await put('p_2.csv', 'id\nshared-2\n');
    await put('orders.csv', 'order,id,at\nso-1,shared-1,2026-01-01\nso-2,shared-2,2026-01-01\n');
    expect(await harness.run(goal)).toMatchObject({
      outcome: 'succeeded',
      counts: { files: 2, created: 2, events: 2 },
    });
    const objects = await harness.client.list(harness.bucket, `${goal.source.directory}/`);
    expect(objects.map(({ key }) => key.split('/')[1])).toEqual(['orders.csv.done', 'p_1.csv.done', 'p_2.csv.done']);
  });

  it('the file is left, deleted or marked as done', async () => {
    for (const [afterImport, left] of [
      ['leave', ['customers.csv']],
      ['delete', []],
      ['done-suffix', ['customers.csv.done']],
    ] as const) {
      const { goal, put } = place({ mappings, afterImport });
      await put('customers.csv', 'id,name,city\ndone-1,Ann,Ghent\n');
      await harness.run(goal);
      const prefix = `${goal.source.directory}/`;
      const objects = await harness.client.list(harness.bucket, prefix);
      expect(objects.map(({ key }) => key.slice(prefix.length))).toEqual(left);
    }
  });
});

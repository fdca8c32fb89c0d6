import { sql } from '@millrace/database';
import { ImportHarness, outcomes, type FinishedRun } from './import-harness.js';

let harness: ImportHarness;
beforeAll(async () => {
  harness = await ImportHarness.create('csv-options', [
    { name: 'name' },
    { name: 'born', type: 'date' },
    { name: 'seen', type: 'timestamp' },
    { name: 'spent', type: 'decimal' },
    { name: 'loyal', type: 'boolean' },
    { name: 'tags', list: true },
    { name: 'days', type: 'date', list: true },
  ]);
  harness.startWorker();
});
afterAll(() => harness.close());

const mappings = ['name', 'born', 'seen', 'spent', 'loyal', 'tags', 'days'].map((name) => ({
  column: name,
  property: name,
  rule: 'set-or-clear',
}));

let directory = 0;
async function importFile(content: string | Uint8Array, csv: object, changes: object = {}): Promise<FinishedRun> {
  directory += 1;
  const source = { bucket: harness.bucket, directory: `o${directory}`, pattern: { kind: 'exact', name: 'people.csv' } };
  await harness.client.put(harness.bucket, `o${directory}/people.csv`, content);
  const run = await harness.run(
    harness.goal({ source, mappings, csv, columnDrift: { missing: 'ignore', new: 'ignore' }, ...changes }),
  );
  expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
  return run;
}
const profile = async (id: string): Promise<unknown> => (await harness.profiles())[id];

it('reads dates and times by the patterns and in the zone of the goal, decimals, booleans and lists by its signs', async () => {
  const run = await importFile(
    'id|born|seen|spent|loyal|tags|days\nv-1|29.02.2024|1.7.26 9:05|1234,50|Ja|[rot;blau\\;weiß]|[01.02.2024;03.04.2025]\nv-2|30.02.2024|||||\nv-3||1.7.26 9:05 Z||||\n',
    {
      delimiter: '|',
      datePattern: 'dd.MM.yyyy',
      timestampPattern: 'd.M.yy H:mm',
      timeZone: 'Europe/Berlin',
      decimalSeparator: ',',
      trueWords: ['ja'],
      falseWords: ['nein'],
      list: { separator: ';', open: '[', close: ']' },
    },
    { rejectLimit: { rows: 3 } },
  );
  expect(run.counts).toMatchObject({ created: 1, rejected: 2 });
  expect(await profile('v-1')).toEqual({
    born: '2024-02-29',
    seen: '2026-07-01T07:05:00.000Z',
    spent: 1234.5,
    loyal: true,
    tags: ['rot', 'blau;weiß'],
    days: ['2024-02-01', '2025-04-03'],
  });
  const reasons = run.notes.filter((note) => note.includes('rejected'));
  expect(reasons.join()).toContain('column "born"): the value is not a date (dd.MM.yyyy)');
  expect(reasons.join()).toContain('column "seen"): the value is not a timestamp (d.M.yy H:mm)');
});

it('reads a time whose pattern has a zone by that zone, and event times by the same pattern', async () => {
  const run = await importFile(
    'id,no,at\nz-1,z-o1,01/07/2026 09:05 +0530\n',
    { timestampPattern: 'dd/MM/yyyy HH:mm XXX', timeZone: 'Europe/Berlin' },
    {
      mappings: [{ column: 'at', property: 'seen' }],
      events: [{ type: 'order', idColumn: 'no', occurredAtColumn: 'at' }],
    },
  );
  expect(run.counts).toMatchObject({ created: 1, events: 1 });
  expect(await profile('z-1')).toEqual({ seen: '2026-07-01T03:35:00.000Z' });
  const { rows } = await harness.database.query<{ at: Date }>(
    sql`SELECT occurred_at AS at FROM profile.event WHERE id = 'z-o1'`,
  );
  expect(rows[0]?.at.toISOString()).toBe('2026-07-01T03:35:00.000Z');
});

it.each([
  ['comma', ','],
  ['semicolon', ';'],
  ['tab', '\t'],
  ['pipe', '|'],
  ['colon', ':'],
  ['one of its own', '¦'],
])('reads fields parted by %s', async (what, delimiter) => {
  const id = `delimiter ${what}`;
  await importFile(
    [
      ['id', 'name'],
      [id, `"a${delimiter}b"`],
    ]
      .map((row) => row.join(delimiter))
      .join('\n'),
    { delimiter },
  );
  expect(await profile(id)).toEqual({ name: `a${delimiter}b` });
});

it('rejects short and long rows, or pads and cuts them: what is padded is absent and clears nothing', async () => {
  const file = 'id,name,spent\np-1,Ann,5\np-2,Bob\np-3,Cid,7,more\n';
  const strict = await importFile(file, {}, { rejectLimit: { rows: 2 } });
  expect(strict.counts).toMatchObject({ created: 1, rejected: 2 });
  const padded = await importFile('id,name,spent\np-1,Eve\np-3,Cid,7,more\np-4,Dan,\n', {
    shortRows: 'pad',
    longRows: 'cut',
  });
  expect(padded.counts).toMatchObject({ created: 2, updated: 1, rejected: 0 });
  expect(await profile('p-1')).toEqual({ name: 'Eve', spent: 5 });
  expect(await profile('p-3')).toEqual({ name: 'Cid', spent: 7 });
});

it('reads what stands in a file without header, behind skipped lines, in its charset, trimmed, with null words and backslashes', async () => {
  const text = 'report of today\n\n  w-1  ; "Müller \\"x\\""; NULL \nw-2;\\N;"NULL"\n';
  await importFile(
    Buffer.from(text, 'latin1'),
    {
      delimiter: ';',
      header: false,
      skipLines: 2,
      charset: 'iso-8859-1',
      trim: true,
      escape: 'backslash',
      nullWords: ['NULL', '\\N'],
    },
    {
      matching: { identifiers: [{ column: '1', namespace: 'customerId' }] },
      mappings: [
        { column: '2', property: 'name' },
        { column: '3', property: 'tags' },
      ],
    },
  );
  expect(await profile('w-1')).toEqual({ name: 'Müller "x"' });
  expect(await profile('w-2')).toEqual({ tags: ['NULL'] });
});

it('reads a linked file by options of its own', async () => {
  directory += 1;
  const exact = (name: string): object => ({ kind: 'exact', name });
  const put = (name: string, content: string): Promise<void> =>
    harness.client.put(harness.bucket, `o${directory}/${name}`, content);
  await put('people.csv', 'id,name\nl-1,Ann\n');
  await put('orders.txt', 'no\tid\tat\nl-o1\tl-1\t02.01.2026 10:00\n');
  const run = await harness.run(
    harness.goal({
      source: { bucket: harness.bucket, directory: `o${directory}`, pattern: exact('people.csv') },
      linked: [
        {
          alias: 'orders',
          pattern: exact('orders.txt'),
          column: 'id',
          parentColumn: 'id',
          csv: { delimiter: '\t', timestampPattern: 'dd.MM.yyyy HH:mm' },
        },
      ],
      events: [{ file: 'orders', type: 'order', idColumn: 'no', occurredAtColumn: 'at' }],
    }),
  );
  expect(run.counts).toMatchObject({ created: 1, events: 1, linkedRowsUsed: 1 });
});

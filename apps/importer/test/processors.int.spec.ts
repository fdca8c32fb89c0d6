import { ImportHarness, outcomes, type FinishedRun } from './import-harness.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('processors', [
    { name: 'name' },
    { name: 'joined', type: 'date' },
    { name: 'pseudonym' },
  ]);
  harness.startWorker();
});
afterAll(() => harness.close());

let directory = 0;
async function importFiles(
  files: Readonly<Record<string, string>>,
  changes: Record<string, unknown>,
): Promise<FinishedRun> {
  directory += 1;
  const pattern = { kind: 'exact', name: 'customers.csv' };
  const goal = harness.goal({ source: { bucket: harness.bucket, directory: `d${directory}`, pattern }, ...changes });
  for (const [name, content] of Object.entries(files))
    await harness.client.put(harness.bucket, `d${directory}/${name}`, content);
  return harness.run(goal);
}

describe('processors', () => {
  it('change rows before identifiers and mappings read them, and count what they drop', async () => {
    const run = await importFiles(
      {
        'customers.csv':
          'country,number,first,last,since\nDE,1,ann,lee,03.04.2024\nFR,2,bob,ray,01.01.2024\nDE,,cid,,01.01.2024\n',
      },
      {
        processors: [
          { kind: 'log', label: 'read' },
          { kind: 'filter', column: 'country', action: 'keep', test: { op: 'equals', value: 'DE' } },
          { kind: 'filter', column: 'number', action: 'drop', test: { op: 'missing' } },
          { kind: 'concatenate', columns: ['country', 'number'], separator: '-', into: 'id' },
          { kind: 'concatenate', columns: ['first', 'last'], separator: ' ', into: 'name' },
          { kind: 'normalise-name', column: 'name' },
          { kind: 'reformat-date', column: 'since', from: 'dd.MM.yyyy' },
          { kind: 'pseudonymise', column: 'id', into: 'pseudonym' },
        ],
        mappings: [
          { column: 'name', property: 'name' },
          { column: 'since', property: 'joined' },
          { column: 'pseudonym', property: 'pseudonym' },
        ],
      },
    );
    expect(run.counts).toMatchObject({ rowsRead: 3, created: 1, skipped: { filtered: 2 } });
    expect(outcomes(run.counts)).toBe(3);
    expect(run.notes).toContainEqual(expect.stringMatching(/customers\.csv: 3 rows came to log "read"$/));
    expect((await harness.profiles())['DE-1']).toEqual({
      name: 'Ann Lee',
      joined: '2024-04-03',
      pseudonym: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('that cannot understand a value reject the row as it stood in the file', async () => {
    const run = await importFiles(
      { 'customers.csv': 'id,mail\nr-1,nobody\nr-2,Ann@Example.com\n' },
      { processors: [{ kind: 'clean-email', column: 'mail' }] },
    );
    expect(run.counts).toMatchObject({ rowsRead: 2, created: 1, rejected: 1 });
    expect(run.notes).toContainEqual(expect.stringMatching(/1 row rejected \(line 2, column "mail"\)/));
  });

  it('work on linked files, keys and events included', async () => {
    const run = await importFiles(
      {
        'customers.csv': 'id\nL-1\n',
        'orders.csv':
          'order,customer,at,total\n1,l-1,02.01.2026,"1.000,50"\n2,l-1,03.01.2026,"2,00"\n3,l-1,04.01.2026,0\n',
      },
      {
        linked: [
          { alias: 'orders', pattern: { kind: 'exact', name: 'orders.csv' }, column: 'customer', parentColumn: 'id' },
        ],
        processors: [
          { file: 'orders', kind: 'reformat-number', column: 'total', decimalSeparator: ',', groupSeparator: '.' },
          { file: 'orders', kind: 'filter', column: 'total', action: 'drop', test: { op: 'equals', value: '0' } },
          { file: 'orders', kind: 'change-case', column: 'customer', to: 'upper' },
          { file: 'orders', kind: 'reformat-date', column: 'at', from: 'dd.MM.yyyy' },
          { file: 'orders', kind: 'fixed-value', into: 'status', value: 'paid' },
        ],
        events: [
          {
            file: 'orders',
            type: 'order',
            idColumn: 'order',
            occurredAtColumn: 'at',
            mappings: [
              { column: 'total', property: 'total' },
              { column: 'status', property: 'status' },
            ],
          },
        ],
      },
    );
    expect(run).toMatchObject({
      outcome: 'succeeded',
      counts: { rowsRead: 1, created: 1, events: 2, linkedRowsRead: 3, linkedRowsUsed: 2, linkedRowsFiltered: 1 },
    });
  });

  it('make columns that mapping by name takes as well', async () => {
    const run = await importFiles(
      { 'customers.csv': 'id,first,other\nall-1,Ann,x\n' },
      { processors: [{ kind: 'concatenate', columns: ['first'], into: 'name' }], mapAll: { rule: 'set-if-empty' } },
    );
    expect(run.notes).toContainEqual(expect.stringMatching(/customers\.csv: 2 columns were left out/));
    expect((await harness.profiles())['all-1']).toEqual({ name: 'Ann' });
  });

  it('may drop every row', async () => {
    const run = await importFiles(
      { 'customers.csv': 'id\nn-1\nn-2\n' },
      { processors: [{ kind: 'first-rows', rows: 0 }] },
    );
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 2, skipped: { filtered: 2 } } });
  });
});

import { rehearsedFiles } from '../src/storage/rehearsals.js';
import { ImportHarness, outcomes, type FinishedRun, type OpenOptions } from './import-harness.js';

let harness: ImportHarness;
beforeAll(async () => {
  harness = await ImportHarness.create('hold-back', [{ name: 'name' }, { name: 'unit' }]);
  harness.startWorker({ settings: { chunkLines: 3 } });
});
afterAll(() => harness.close());

const exact = (name: string): object => ({ kind: 'exact', name });
let directory = 0;

/** Puts files into a directory of their own and imports them. */
async function importFiles(
  files: Readonly<Record<string, string>>,
  changes: Record<string, unknown> = {},
  options: OpenOptions = {},
): Promise<FinishedRun> {
  directory += 1;
  const source = { bucket: harness.bucket, directory: `h${directory}`, pattern: exact('customers.csv') };
  const goal = harness.goal({ source, mappings: [{ column: 'name', property: 'name' }], ...changes });
  for (const [name, content] of Object.entries(files))
    await harness.client.put(harness.bucket, `h${directory}/${name}`, content);
  const run = await harness.run(goal, options);
  expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
  return run;
}

describe('a connection linked to consent objectives', () => {
  const linked = {
    consent: [{ column: 'news', objective: 'news' }],
    linked: [{ alias: 'orders', pattern: exact('orders.csv'), column: 'id', parentColumn: 'id' }],
    events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
  };
  const files = (prefix: string): Record<string, string> => ({
    'customers.csv': [
      'id,name,news',
      `${prefix}1,Ann,yes`,
      `${prefix}2,Bob,no`,
      `${prefix}3,Cid,`,
      `${prefix}4,Dan,`,
      `${prefix}4,Dan,yes`,
      '',
    ].join('\n'),
    'orders.csv': [
      'order,id,at',
      ...[1, 2, 2, 4, 9].map((id, index) => `${prefix}o${index},${prefix}${id},2026-01-02`),
      '',
    ].join('\n'),
  });

  it('withholds rows, events and linked rows of profiles without consent, and counts them', async () => {
    const run = await importFiles(files('a-'), linked, { consentObjectives: ['news', 'sms'] });
    expect(run).toMatchObject({
      outcome: 'succeeded',
      counts: { rowsRead: 5, created: 3, profilesCreated: 2, skipped: { consent: 2 }, events: 2 },
    });
    expect(run.counts).toMatchObject({
      linkedRowsRead: 5,
      linkedRowsUsed: 2,
      linkedRowsWithheld: 2,
      linkedRowsOrphaned: 1,
    });
    expect(Object.keys(await harness.profiles()).filter((id) => id.startsWith('a-'))).toEqual(['a-1', 'a-4']);
  });

  it('rehearses just that, with samples', async () => {
    const run = await importFiles(files('b-'), linked, { consentObjectives: ['news'], dryRun: true });
    expect(run.counts).toMatchObject({ created: 3, skipped: { consent: 2 }, linkedRowsWithheld: 2 });
    const [file] = await rehearsedFiles(harness.database, run.runId);
    expect(file?.samples.filter(({ outcome }) => outcome === 'withheld')).toEqual(
      [3, 4].map((line) => ({
        outcome: 'withheld',
        line,
        reason: 'the profile consents to none of the objectives of the connection',
      })),
    );
  });

  it('handles everyone where there is no objective', async () => {
    const run = await importFiles(files('c-'), linked);
    expect(run.counts).toMatchObject({ created: 5, skipped: {}, linkedRowsWithheld: 0, linkedRowsUsed: 4 });
  });

  it('is another configuration: the same file is imported again', async () => {
    await importFiles({ 'customers.csv': 'id,name\nd-1,Ann\n' }, {}, { consentObjectives: ['news'] });
    const source = { bucket: harness.bucket, directory: `h${directory}`, pattern: exact('customers.csv') };
    const goal = harness.goal({ source, mappings: [{ column: 'name', property: 'name' }] });
    expect((await harness.run(goal, { consentObjectives: ['news'] })).counts).toMatchObject({ filesSkipped: 1 });
    expect((await harness.run(goal)).counts).toMatchObject({ filesSkipped: 0, created: 1 });
  });
});

import { sql } from '@millrace/database';
import { eraseProfiles } from '@millrace/profile-store';
import { runRejects } from '../src/storage/rejects.js';
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

describe('a file older than an erasure', () => {
  const erase = async (id: string): Promise<void> => {
    const chosen = sql`SELECT profile_id FROM profile.identity WHERE value = ${id}`;
    await harness.database.transaction((tx) => eraseProfiles(tx, harness.workspaceId, chosen));
  };
  // As if the person had been erased some time after the file was written.
  const tomorrow = (): Promise<unknown> =>
    harness.database.query(sql`UPDATE profile.tombstone SET erased_at = now() + interval '1 day'`);

  it('does not bring an erased person back, unless the goal says so, and newer files do', async () => {
    const files = { 'customers.csv': 'id,name\ne-1,Ann\ne-2,Bob\n' };
    await importFiles(files);
    await erase('e-1');
    await tomorrow();
    const late = await importFiles(files);
    expect(late.counts).toMatchObject({ rowsRead: 2, unchanged: 1, created: 0, skipped: { erased: 1 } });
    const rehearsed = await importFiles(files, {}, { dryRun: true });
    expect(rehearsed.counts).toMatchObject({ skipped: { erased: 1 } });
    const [file] = await rehearsedFiles(harness.database, rehearsed.runId);
    expect(file?.samples).toContainEqual({
      outcome: 'withheld',
      line: 2,
      reason: 'the person was erased after the row was written',
    });
    await harness.database.query(sql`UPDATE profile.tombstone SET erased_at = now() - interval '1 day'`);
    expect((await importFiles(files)).counts).toMatchObject({ created: 1, skipped: {} });
    await erase('e-1');
    await tomorrow();
    expect((await importFiles(files, { erasedProfiles: 'create' })).counts).toMatchObject({ created: 1, skipped: {} });
  });
});

describe('the guardrails of a connection', () => {
  it('let no import create a profile where they say existing profiles only', async () => {
    await importFiles({ 'customers.csv': 'id,name\ng-1,Ann\n' });
    const guardrails = { existingProfilesOnly: true };
    const run = await importFiles({ 'customers.csv': 'id,name\ng-1,Eve\ng-2,Bob\n' }, {}, { guardrails });
    expect(run.counts).toMatchObject({ updated: 1, created: 0, skipped: { unmatched: 1 } });
  });

  it('reject the rows of other units by a column of the file', async () => {
    const guardrails = { existingProfilesOnly: false, unit: { column: 'unit', value: 'north' } };
    const file = { 'customers.csv': 'id,name,unit\nu-1,Ann,north\nu-2,Bob,south\nu-3,Cid,\n' };
    const run = await importFiles(file, { rejectLimit: { rows: 2 } }, { guardrails });
    expect(run.counts).toMatchObject({ created: 1, rejected: 2 });
    expect(run.notes.join()).toContain(
      '2 rows rejected (first in line 3, column "unit"): the row is not of the organizational unit',
    );
    const without = await importFiles({ 'customers.csv': 'id,name\nu-4,Dan\n' }, {}, { guardrails });
    expect(without).toMatchObject({ outcome: 'failed', error: { code: 'column-missing' } });
  });

  it('reject rows whose profile is of another unit by a property, and list them', async () => {
    const mappings = [
      { column: 'name', property: 'name' },
      { column: 'unit', property: 'unit' },
    ];
    await importFiles({ 'customers.csv': 'id,name,unit\np-1,Ann,north\np-2,Bob,south\n' }, { mappings });
    const guardrails = { existingProfilesOnly: false, unit: { property: 'unit', value: 'north' } };
    const file = { 'customers.csv': 'id,name,unit\np-1,Eve,\np-2,Eve,\np-2,Eve,\np-3,Eve,north\np-4,Eve,south\n' };
    const run = await importFiles(file, { mappings }, { guardrails });
    expect(run.counts).toMatchObject({ updated: 1, created: 1, rejected: 3 });
    const listed = await runRejects(harness.database, run.runId, { limit: 10, raw: true });
    expect(listed).toMatchObject([3, 4, 6].map((line) => ({ line, scope: 'row', column: 'unit', code: 'other-unit' })));
    expect(listed.map(({ raw }) => raw)).toEqual(['p-2,Eve,', 'p-2,Eve,', 'p-4,Eve,south']);
    expect(run.notes.join()).toContain('3 rows rejected (first in line 3, column "unit")');
    const profiles = await harness.profiles();
    expect([profiles['p-1'], profiles['p-2'], profiles['p-4']]).toEqual([
      { name: 'Eve', unit: 'north' },
      { name: 'Bob', unit: 'south' },
      undefined,
    ]);
  });
});

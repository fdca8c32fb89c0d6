import { ImportHarness, outcomes, type FinishedRun } from './import-harness.js';

let harness: ImportHarness;
beforeAll(async () => {
  harness = await ImportHarness.create('column-drift', [{ name: 'name' }, { name: 'city' }]);
  harness.startWorker();
});
afterAll(() => harness.close());

let directory = 0;
/** Imports one file after the other, each by a run of its own, into a directory of their own. */
async function importInTurn(columnDrift: object, ...files: readonly string[]): Promise<readonly FinishedRun[]> {
  directory += 1;
  const goal = harness.goal({
    source: { bucket: harness.bucket, directory: `c${directory}`, pattern: { kind: 'every' } },
    mappings: [
      { column: 'name', property: 'name' },
      { column: 'city', property: 'city', rule: 'set-or-clear' },
    ],
    columnDrift,
  });
  const runs: FinishedRun[] = [];
  for (const [index, content] of files.entries()) {
    await harness.client.put(harness.bucket, `c${directory}/${index}.csv`, content);
    runs.push(await harness.run(goal));
  }
  return runs;
}

it('is told as a note of the run, compared with the last file that was imported', async () => {
  const [first, second] = await importInTurn(
    {},
    'id,name,city,old\nn-1,Ann,Ghent,x\n',
    'id,name,city,extra\nn-1,Bob,Lille,y\n',
  );
  expect(first?.notes).toEqual([]);
  expect(second?.outcome).toBe('succeeded');
  const key = `c${directory}/1.csv`;
  expect(second?.notes.filter((note) => note.startsWith(`${key}: `))).toEqual([
    `${key}: missing columns since c${directory}/0.csv: "old"`,
    `${key}: new columns since c${directory}/0.csv, in positions 4`,
  ]);
});

it('ends a run before anything is applied where the goal says fail, and the header of that file is not the one to keep to', async () => {
  const files = ['id,name,city\nf-1,Ann,Ghent\n', 'name,id,city\nBob,f-1,Lille\n'];
  const [, second] = await importInTurn({ reordered: 'fail' }, ...files);
  expect(second).toMatchObject({ outcome: 'failed', error: { code: 'columns-drifted' } });
  expect(second?.error?.message).toContain('the columns stand in another order');
  expect((await harness.profiles())['f-1']).toEqual({ name: 'Ann', city: 'Ghent' });
});

it('lets a mapped column be missing where the goal says so: nothing is cleared', async () => {
  const files = ['id,name,city\nm-1,Ann,Ghent\n', 'id,name\nm-1,Bob\n'];
  const [, told] = await importInTurn({ missing: 'warn' }, ...files);
  expect(told?.outcome).toBe('succeeded');
  expect(told?.notes.join()).toContain('missing columns since');
  expect((await harness.profiles())['m-1']).toEqual({ name: 'Bob', city: 'Ghent' });
  const [, failed] = await importInTurn({}, ...files);
  expect(failed).toMatchObject({ outcome: 'failed', error: { code: 'column-missing' } });
});

it('fails without the columns that say whose row it is, whatever the goal puts up with', async () => {
  const [run] = await importInTurn({ missing: 'ignore' }, 'name,city\nAnn,Ghent\n');
  expect(run).toMatchObject({ outcome: 'failed', error: { code: 'column-missing' } });
});

it('takes the first of two columns of one name where the goal puts up with them', async () => {
  const file = 'id,name,name\nd-1,Ann,Eve\n';
  const [run] = await importInTurn({ duplicate: 'warn', missing: 'ignore' }, file);
  expect(outcomes(run!.counts)).toBe(1);
  expect(run?.notes.join()).toContain('columns whose name stands more than once: "name"');
  expect((await harness.profiles())['d-1']).toEqual({ name: 'Ann' });
  const [refused] = await importInTurn({ missing: 'ignore' }, file);
  expect(refused).toMatchObject({ outcome: 'failed', error: { code: 'column-ambiguous' } });
});

import { ImportHarness, outcomes } from './import-harness.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('delete-flag', [{ name: 'name' }, { name: 'points', type: 'decimal' }]);
  harness.startWorker({ settings: { chunkLines: 2 } });
});
afterAll(() => harness.close());

it('erases flagged profiles, each row with one outcome', async () => {
  const goal = harness.goal({
    deleteFlag: { column: 'gone' },
    mappings: [
      { column: 'name', property: 'name' },
      { column: 'points', property: 'points' },
    ],
  });
  await harness.put('customers-1.csv', 'id,name,points,gone\nA,Ann,1,\nB,Bob,2,no\nC,Cid,3,0\n');
  expect((await harness.run(goal)).counts).toMatchObject({ created: 3, erased: 0 });
  await harness.put(
    'customers-2.csv',
    'id,name,points,gone\nD,Dee,4,\nA,Ann,9,\nB,Bo,2,no\nA,Ann,many,yes\nX,,,1\nC,Cid,3,perhaps\n',
  );
  const run = await harness.run(goal);
  expect(run.counts).toMatchObject({
    rowsRead: 6,
    created: 1,
    updated: 1,
    erased: 2,
    profilesErased: 1,
    skipped: { unmatched: 1 },
    rejected: 1,
  });
  expect(outcomes(run.counts)).toBe(6);
  expect(Object.keys(await harness.profiles())).toEqual(['B', 'C', 'D']);
});

import { ImportHarness } from './import-harness.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('object-names', [{ name: 'name' }]);
  harness.startWorker();
});
afterAll(() => harness.close());

const names = [
  'customers 2026.csv',
  'a+b=c&d?e#f.csv',
  '100%.csv',
  '%2e%2e%2fescaped.csv',
  "it's (a) [b] {c} $d !e *f ~g.csv",
  'Kunden-Übersicht é.csv',
  '顧客😀.csv',
  `${'n'.repeat(200)}.csv`,
  '.csv',
];

describe('an object with a name like this', () => {
  it.each(names)('is listed, read, marked as done and known: %s', async (name) => {
    const directory = `names/d${names.indexOf(name)} +%`;
    const id = `object-${names.indexOf(name)}`;
    const put = (): Promise<void> => harness.client.put(harness.bucket, `${directory}/${name}`, `id,name\n${id},Ann\n`);
    const goal = (pattern: object, afterImport: string) =>
      harness.goal({
        source: { bucket: harness.bucket, directory, pattern },
        mappings: [{ column: 'name', property: 'name' }],
        afterImport,
      });
    await put();
    const exact = { kind: 'exact', name };
    expect(await harness.run(goal(exact, 'done-suffix'))).toMatchObject({
      outcome: 'succeeded',
      counts: { created: 1 },
    });
    const keys = async () => (await harness.client.list(harness.bucket, `${directory}/`)).map(({ key }) => key);
    expect(await keys()).toEqual([`${directory}/${name}.done`]);
    await put();
    const again = await harness.run(goal({ kind: 'wildcard', pattern: '*.csv' }, 'delete'));
    expect(again).toMatchObject({ outcome: 'succeeded' });
    expect(again.counts.files + again.counts.filesSkipped).toBe(1);
    expect(again.counts.created).toBe(0);
  });
});

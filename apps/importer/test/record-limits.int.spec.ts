import { parseConfig } from '@millrace/service-kit';
import { configSchema, importSettings } from '../src/config.js';
import { runRejects } from '../src/storage/rejects.js';
import { ImportHarness } from './import-harness.js';

let harness: ImportHarness;

beforeAll(async () => {
  harness = await ImportHarness.create('record-limits', [{ name: 'name' }]);
});
afterAll(() => harness.close());

/** What the importer's environment makes of the limits. */
const settings = (environment: Record<string, string>) =>
  importSettings(
    parseConfig(configSchema, {
      MILLRACE_DATABASE_URL: 'postgres://localhost/millrace',
      MILLRACE_REDIS_URL: 'redis://localhost',
      MILLRACE_SEALING_KEY: Buffer.alloc(32, 7).toString('base64'),
      ...environment,
    }),
  );

/** Lines rejected as too long: rows have 500, 1,100, 3,000 and 1,500,000 characters. */
async function tooLong(environment: Record<string, string>, csv: object): Promise<readonly number[]> {
  const { recordBytes, maxRecordBytes } = settings(environment);
  const worker = harness.startWorker({ settings: { recordBytes, maxRecordBytes } });
  const rows = [500, 1100, 3000, 1_500_000].map((length, row) => `r-${row},${'x'.repeat(length)}`);
  await harness.put('customers.csv', `id,name\n${rows.join('\n')}\n`);
  const run = await harness.run(
    harness.goal({
      csv,
      mappings: [{ column: 'name', property: 'name' }],
      rejectLimit: {},
      name: `limits ${Object.keys(environment).length}`,
    }),
    { dryRun: true },
  );
  await worker.stop();
  expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 4 } });
  const rejects = await runRejects(harness.database, run.runId, { limit: 10 });
  expect(rejects.map(({ code }) => code)).toEqual(rejects.map(() => 'too-long'));
  return rejects.map(({ line }) => line);
}

it('a row longer than 1 MiB is rejected where neither goal nor operator say otherwise', async () => {
  expect(await tooLong({}, {})).toEqual([5]);
});

it('a goal raises or lowers the limit', async () => {
  expect(await tooLong({}, { maxRecordBytes: 2_000_000 })).toEqual([]);
  expect(await tooLong({}, { maxRecordBytes: 2048 })).toEqual([4, 5]);
});

it('an operator sets the limit of goals that have none, and the one that no goal passes', async () => {
  expect(await tooLong({ MILLRACE_IMPORT_RECORD_KIB: '2048' }, {})).toEqual([]);
  expect(await tooLong({ MILLRACE_IMPORT_RECORD_KIB: '1' }, {})).toEqual([3, 4, 5]);
  expect(await tooLong({ MILLRACE_IMPORT_RECORD_KIB: '1' }, { maxRecordBytes: 2048 })).toEqual([4, 5]);
  expect(await tooLong({ MILLRACE_IMPORT_MAX_RECORD_KIB: '2' }, { maxRecordBytes: 2_000_000 })).toEqual([4, 5]);
});

it('limits that are no sizes stop the service when it starts', () => {
  expect(() => settings({ MILLRACE_IMPORT_MAX_RECORD_KIB: '0' })).toThrow('MILLRACE_IMPORT_MAX_RECORD_KIB');
});

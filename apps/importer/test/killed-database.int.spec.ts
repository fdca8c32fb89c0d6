import { sql } from '@millrace/database';
import {
  hold,
  letAllGo,
  type PrivatePostgres,
  type ServiceProcess,
  startPrivatePostgres,
  waitFor,
} from '@millrace/testing';
import { ImportHarness } from './import-harness.js';
import { startImporter } from './import-process.js';
import {
  addExisting,
  appliedChunks,
  existing,
  expectUndisturbed,
  openTwiceListed,
  profileOf,
  properties,
  somebodyWaits,
} from './twice-listed.js';

const [inChunk] = existing;

let postgres: PrivatePostgres;
let harness: ImportHarness;
const processes: ServiceProcess[] = [];

beforeAll(async () => {
  postgres = await startPrivatePostgres();
});
afterAll(() => postgres?.stop());

beforeEach(async () => {
  harness = await ImportHarness.create('killed-database', properties, postgres.url);
  await addExisting(harness);
});
afterEach(async () => {
  await Promise.all(processes.splice(0).map((each) => each.kill()));
  await letAllGo();
  await harness.close();
});

async function start(): Promise<ServiceProcess> {
  const started = await startImporter(harness);
  processes.push(started);
  return started;
}

async function crashAndRecover(): Promise<void> {
  await postgres.crash();
  await letAllGo();
  await postgres.start();
  await waitFor(async () => (await harness.database.query(sql`SELECT 1`)).rowCount === 1, 60_000, 'the recovery');
}

/** Rows left in the staging table of the root file. */
async function stagedRows(): Promise<number> {
  const [table] = (await harness.tables()).filter((name) => name.startsWith('stage_'));
  if (table === undefined) throw new Error('there is no staging table');
  return (await harness.database.query(sql`SELECT FROM ${sql.id('importer', table)}`)).rowCount;
}

describe('PostgreSQL killed', () => {
  it('in the middle of a chunk loses the staged rows, and the frozen plan ends the run as if undisturbed', async () => {
    const importer = await start();
    await hold(harness.database, profileOf(inChunk));
    const run = await openTwiceListed(harness);
    await somebodyWaits(harness);
    const applied = await appliedChunks(harness);
    expect(applied).toBeGreaterThan(0);
    await crashAndRecover();
    await expectUndisturbed(harness, await harness.finished(run, 120_000));
    expect(importer.isAlive).toBe(true);
    expect(importer.log.match(/"msg":"[^"]*gone[^"]*"/g)).toHaveLength(1);
  });

  it('between two chunks, and the importer with it, leaves what another one ends from the plan', async () => {
    const victim = await start();
    const profile = await hold(harness.database, profileOf(inChunk));
    const run = await openTwiceListed(harness);
    await somebodyWaits(harness);
    const applied = await appliedChunks(harness);
    const gate = hold(harness.database, sql`LOCK TABLE work.lease IN ACCESS EXCLUSIVE MODE`);
    await somebodyWaits(harness, 'LOCK TABLE%');
    await profile.letGo();
    await gate;
    await somebodyWaits(harness, '%set_config%work.lease%');
    await victim.kill();
    await crashAndRecover();
    expect(await appliedChunks(harness)).toBe(applied + 1);
    expect(await stagedRows()).toBe(0);
    const successor = await start();
    await expectUndisturbed(harness, await harness.finished(run, 120_000));
    expect(successor.log).toMatch(/"msg":"[^"]*gone[^"]*"/);
  });
});

import { sql } from '@millrace/database';
import { awsAccess, FaultProxy, type FaultRule, hold, letAllGo, type ServiceProcess, waitFor } from '@millrace/testing';
import { ImportHarness } from './import-harness.js';
import { startImporter } from './import-process.js';
import {
  addExisting,
  appliedChunks,
  expectUndisturbed,
  existing,
  openTwiceListed,
  profileOf,
  properties,
  somebodyWaits,
} from './twice-listed.js';

const [inChunk] = existing;

let harness: ImportHarness;
let s3: FaultProxy;
const processes: ServiceProcess[] = [];

beforeEach(async () => {
  harness = await ImportHarness.create('killed', properties);
  s3 = await FaultProxy.start(awsAccess('s3').endpoint);
  harness.s3Endpoint = s3.url;
  await addExisting(harness);
});
afterEach(async () => {
  await Promise.all(processes.splice(0).map((each) => each.kill()));
  await s3.stop();
  await letAllGo();
  await harness.close();
});

async function start(): Promise<ServiceProcess> {
  const started = await startImporter(harness);
  processes.push(started);
  return started;
}

/** The token of the run's lease: another one than before once somebody has taken over. */
async function leaseToken(): Promise<string> {
  const { rows } = await harness.database.query<{ token: string }>(
    sql`SELECT max(token)::text AS token FROM work.lease WHERE resource LIKE 'unit:%'`,
  );
  return rows[0]?.token ?? '';
}

async function takenOver(before: string): Promise<void> {
  await waitFor(async () => (await leaseToken()) !== before, 60_000, 'another importer to take over');
}

const never = new Promise<void>(() => undefined);
const copying: FaultRule['when'] = ({ method, path, headers }) =>
  method === 'PUT' && path.includes('customers.csv.done') && headers['x-amz-copy-source'] !== undefined;

describe('an importer killed', () => {
  it('while it stages leaves a run that another one ends as if undisturbed', async () => {
    const victim = await start();
    const reading = s3.inject({
      when: ({ method, path }) => method === 'GET' && path.includes('customers.csv'),
      fault: { kind: 'stall', afterBytes: 300_000, until: never },
    });
    const run = await openTwiceListed(harness);
    await reading.met();
    await waitFor(
      async () =>
        (
          await harness.database.query(sql`
            SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
              AND query LIKE 'COPY "importer"."stage_%' AND wait_event = 'ClientRead'`)
        ).rowCount > 0,
      60_000,
      'the file to be half staged',
    );
    await victim.kill();
    await start();
    await expectUndisturbed(harness, await harness.finished(run, 120_000));
    expect(await harness.tables()).toEqual([]);
  });

  it('between two chunks leaves a run that another one ends as if undisturbed', async () => {
    const victim = await start();
    const profile = await hold(harness.database, profileOf(inChunk));
    const run = await openTwiceListed(harness);
    await somebodyWaits(harness);
    // Queues behind the chunk that waits, and before the first statement of the one after it.
    const gate = hold(harness.database, sql`LOCK TABLE work.lease IN ACCESS EXCLUSIVE MODE`);
    await somebodyWaits(harness, 'LOCK TABLE%');
    const applied = await appliedChunks(harness);
    await profile.letGo();
    const lease = await gate;
    expect(await appliedChunks(harness)).toBe(applied + 1);
    await somebodyWaits(harness, '%set_config%work.lease%');
    await victim.kill();
    await lease.letGo();
    await start();
    await expectUndisturbed(harness, await harness.finished(run, 120_000));
  });

  it('in the middle of a chunk leaves nothing of it, and nothing in the way of the next', async () => {
    const victim = await start();
    const profile = await hold(harness.database, profileOf(inChunk));
    const run = await openTwiceListed(harness);
    await somebodyWaits(harness);
    const lease = await leaseToken();
    expect(await appliedChunks(harness)).toBeGreaterThan(0);
    await victim.kill();
    await start();
    await takenOver(lease);
    await profile.letGo();
    await expectUndisturbed(harness, await harness.finished(run, 120_000));
  });

  it.each(['before', 'after'] as const)('just %s the copy that marks its file as done', async (moment) => {
    const victim = await start();
    const fault = moment === 'before' ? ({ kind: 'hold', until: never } as const) : ({ kind: 'lose-answer' } as const);
    const copied = s3.inject({ when: copying, fault });
    const run = await openTwiceListed(harness, { afterImport: 'done-suffix' });
    await copied.met();
    const isCopied = async (): Promise<boolean> =>
      (await harness.client.list(harness.bucket)).some(({ key }) => key === 'in/customers.csv.done');
    await waitFor(async () => (await isCopied()) === (moment === 'after'), 60_000, 'the copy, or its absence');
    await victim.kill();
    await start();
    await expectUndisturbed(harness, await harness.finished(run, 120_000));
    expect((await harness.client.list(harness.bucket)).map(({ key }) => key)).toEqual([
      'in/customers.csv.done',
      'in/orders.csv.done',
    ]);
  });
});

describe('an importer that stalls in a chunk past its lease', () => {
  it.each(['waits for a lock', 'has its answer, and its locks'] as const)(
    'can neither commit nor block its successor, while its session %s',
    async (state) => {
      const victim = await start();
      const profile = await hold(harness.database, profileOf(inChunk));
      const run = await openTwiceListed(harness);
      await somebodyWaits(harness);
      const lease = await leaseToken();
      victim.signal('SIGSTOP');
      if (state === 'has its answer, and its locks') await profile.letGo();
      await start();
      await takenOver(lease);
      if (state === 'waits for a lock') await profile.letGo();
      const ended = await harness.finished(run, 120_000);
      await expectUndisturbed(harness, ended);
      const statistics = await harness.statistics();

      const written = victim.log.length;
      victim.signal('SIGCONT');
      await waitFor(
        () => /the lease ended|belongs to another worker/.test(victim.log.slice(written)),
        60_000,
        'the stalled one to notice',
      );
      expect(victim.isAlive).toBe(true);
      expect(await harness.statistics()).toEqual(statistics);
      await expectUndisturbed(harness, await harness.finished(run));
    },
  );
});

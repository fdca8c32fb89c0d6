import { type FaultProxy, type FaultRule, gate, waitFor } from '@millrace/testing';
import { BreakableSystem } from './breakable-system.js';
import { Exchange } from './exchange.js';
import { chunksOf, holdProfile, openUnits, somebodyWaits } from './hold.js';
import type { Millrace } from './millrace.js';
import { customersFromBefore, expectSameOutcome, type Outcome } from './outcome.js';
import { completing, puttingRecords, reading, uploading, writingManifest } from './requests.js';
import type { Sample } from './sample.js';

describe('a process killed in the middle of its work', () => {
  let system: BreakableSystem;
  let millrace: Millrace;
  let sample: Sample;
  let undisturbed: Outcome;
  let s3: FaultProxy;
  let kinesis: FaultProxy;
  const prepare = (workspace: string): Promise<Exchange> => system.prepare(workspace);

  beforeAll(async () => {
    system = await BreakableSystem.start('kill', 11);
    ({ millrace, sample, undisturbed, s3, kinesis } = system);
  });
  afterEach(() => system.clearFaults());
  afterAll(() => system?.stop());

  it('has an undisturbed run to be compared with, in which every kind of outcome occurs', () => {
    const { imported, exported, store } = undisturbed;
    const points = store.reduce((sum, profile) => {
      const { properties } = JSON.parse(profile) as { properties: Record<string, number> };
      return sum + (properties['loyalty.points'] ?? 0);
    }, 0);
    const ambiguous = sample.customerRows.find(({ email }) => email !== undefined)?.id;
    const inFile = sample.customerRows.filter(({ id }) => id !== ambiguous).reduce((sum, row) => sum + row.points, 0);
    const before = store.filter((profile) => profile.includes('was here before')).length;
    expect(points).toBe(inFile + 1000 * before);
    expect(before).toBeGreaterThan(50);
    for (const kind of ['created', 'updated', 'ambiguous', 'rejected', 'linkedRowsOrphaned', 'events', 'eventLines'])
      expect({ [kind]: imported[kind] }).not.toEqual({ [kind]: 0 });
    expect(exported['rows']).toBeGreaterThan(500);
    expect(exported['files']).toBe(2);
  });

  describe('importer', () => {
    it('reads the files again when it was killed while reading one', async () => {
      const exchange = await prepare('importer-reading');
      const inMiddle = s3.inject({ when: reading(exchange, 'order-lines'), fault: { kind: 'lose-answer' } });
      const run = await exchange.start();
      await inMiddle.met();
      await millrace.services.restart('importer', 'SIGKILL');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });

    it('goes on with the chunks that are not applied when it was killed between some that are', async () => {
      const exchange = await prepare('importer-applying');
      const letGo = await holdProfile(millrace.database, exchange.workspace, customersFromBefore(sample)[2]);
      const run = await exchange.start();
      const chunks = await waitFor(async () => {
        const { applied, planned } = await chunksOf(millrace.database, run);
        return applied >= 3 && (await somebodyWaits(millrace.database)) && { applied, planned };
      }, 60_000);
      expect(chunks.applied).toBeLessThan(chunks.planned);
      await millrace.services.restart('importer', 'SIGKILL');
      await letGo();
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });
  });

  describe('batch-exporter', () => {
    it('writes a part again when it was killed while uploading it', async () => {
      const exchange = await prepare('exporter-uploading');
      await killExporter(exchange, uploading(exchange));
    });

    it('delivers when it was killed as one of its objects had become visible', async () => {
      const exchange = await prepare('exporter-completing');
      await killExporter(exchange, completing(exchange));
    });

    it('writes the same manifest when it was killed while writing it', async () => {
      const exchange = await prepare('exporter-manifest');
      await killExporter(exchange, writingManifest(exchange));
    });

    /** Kills it once the request was carried out of which it never gets the answer. */
    async function killExporter(exchange: Exchange, when: FaultRule['when']): Promise<void> {
      const inMiddle = s3.inject({ when, fault: { kind: 'lose-answer' } });
      const run = await exchange.start();
      await inMiddle.met();
      await millrace.services.restart('batch-exporter', 'SIGKILL');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    }
  });

  describe('stream-publisher', () => {
    it('sends again what it never heard of, and the stream ends with the state of each profile', async () => {
      const exchange = await prepare('publisher-sending');
      const unheard = { kind: 'lose-answer' } as const;
      const inMiddle = kinesis.inject({ when: puttingRecords(exchange), skip: 2, times: 1000, fault: unheard });
      const run = await exchange.start();
      await inMiddle.met();
      await millrace.services.kill('stream-publisher', 'SIGKILL');
      kinesis.clear();
      const ended = await exchange.end(run);
      await millrace.services.restart('stream-publisher');
      await expectSameOutcome(exchange, ended, undisturbed);
    });
  });

  describe('config-api', () => {
    it('goes on with the run when it was killed during the import, and learns what happened meanwhile', async () => {
      const exchange = await prepare('api-importing');
      await workWithoutApi(exchange, reading(exchange, 'orders'));
    });

    it('ends the run when it was killed during the export', async () => {
      const exchange = await prepare('api-exporting');
      await workWithoutApi(exchange, completing(exchange));
    });

    /** Kills it while a worker is busy, and starts it again when the worker has finished. */
    async function workWithoutApi(exchange: Exchange, when: FaultRule['when']): Promise<void> {
      const { opened, open } = gate();
      const inMiddle = s3.inject({ when, fault: { kind: 'hold', until: opened } });
      const run = await exchange.start();
      await inMiddle.met();
      await millrace.services.kill('config-api', 'SIGKILL');
      open();
      await waitFor(
        async () => (await openUnits(millrace.database, run)).length === 0,
        120_000,
        'the worker to finish',
      );
      await millrace.services.restart('config-api');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    }

    it('takes a batch once when it was killed while applying it and the client sends it again', async () => {
      const exchange = await Exchange.prepare(millrace, 'api-ingesting', sample, { goals: [] });
      const ada = { namespace: 'email', value: 'ada@example.org' };
      const addPoints = async (batchId: string, value: number): Promise<unknown> =>
        await exchange.ingest(batchId, [
          { identities: [ada], properties: [{ property: 'loyalty.points', value, rule: 'sum' }] },
        ]);
      await addPoints('first', 1);
      const letGo = await holdProfile(millrace.database, exchange.workspace, ada);
      const answer = addPoints('second', 10).catch(() => 'no answer');
      await waitFor(async () => await somebodyWaits(millrace.database), 120_000, 'the batch to be under way');
      await millrace.services.restart('config-api', 'SIGKILL');
      await letGo();
      expect(await answer).toBe('no answer');
      expect(await addPoints('second', 10)).toMatchObject([{ outcome: 'updated' }]);
      expect(await addPoints('second', 10)).toMatchObject([{ outcome: 'updated' }]);
      const [profile = ''] = await exchange.store();
      expect(JSON.parse(profile)).toMatchObject({ properties: { 'loyalty.points': 11 } });
    });
  });

  describe('Redis', () => {
    it('is not missed when it was killed during an import and came back empty', async () => {
      const exchange = await prepare('redis-restarted');
      const { opened, open } = gate();
      const inMiddle = s3.inject({ when: reading(exchange, 'orders'), fault: { kind: 'hold', until: opened } });
      const run = await exchange.start();
      await inMiddle.met();
      await millrace.stack.restart('redis', 'SIGKILL');
      open();
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });

    it('is not missed while it is away altogether', async () => {
      const exchange = await prepare('redis-away');
      await millrace.stack.supervisor.end('redis', 'SIGKILL');
      await expectSameOutcome(exchange, await exchange.run(), undisturbed);
      await millrace.stack.restart('redis');
    });
  });

  describe('PostgreSQL', () => {
    it('loses the staged rows when it crashes during an import, and the run reads them again', async () => {
      const exchange = await prepare('postgres-crashed');
      const letGo = await holdProfile(millrace.database, exchange.workspace, customersFromBefore(sample)[2]);
      const run = await exchange.start();
      await waitFor(async () => {
        const { applied } = await chunksOf(millrace.database, run);
        return applied >= 3 && (await somebodyWaits(millrace.database));
      }, 60_000);
      // Its word for a crash: every backend ends at once, and recovery empties unlogged tables.
      await millrace.stack.restart('postgres', 'SIGQUIT');
      await expect(letGo()).rejects.toThrow('PostgreSQL');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });
  });

  describe('all services', () => {
    it('bring the run to the same end when they are killed again and again, wherever that hits them', async () => {
      const exchange = await prepare('all-killed');
      const run = await exchange.start();
      s3.inject({ when: () => true, times: 1000, fault: { kind: 'delay', ms: 50 } });
      for (const service of ['importer', 'stream-publisher', 'importer', 'config-api', 'batch-exporter'] as const)
        await millrace.services.restart(service, 'SIGKILL');
      const ended = await exchange.end(run);
      for (const service of ['batch-exporter', 'stream-publisher'] as const)
        await millrace.services.restart(service, 'SIGKILL');
      await expectSameOutcome(exchange, ended, undisturbed);
    });
  });
});

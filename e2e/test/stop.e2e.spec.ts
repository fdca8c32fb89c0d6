import { sql } from '@millrace/database';
import type { ServiceName } from '@millrace/dev-stack';
import { type FaultProxy, type Gate, gate, waitFor } from '@millrace/testing';
import { BreakableSystem } from './breakable-system.js';
import type { Exchange } from './exchange.js';
import { chunksOf, holdProfile, openUnits, somebodyWaits } from './hold.js';
import type { Millrace } from './millrace.js';
import { customersFromBefore, expectSameOutcome, type Outcome } from './outcome.js';
import { puttingRecords, reading, uploading } from './requests.js';
import type { Sample } from './sample.js';

describe('a service asked to stop in the middle of its work', () => {
  let system: BreakableSystem;
  let millrace: Millrace;
  let sample: Sample;
  let undisturbed: Outcome;
  let s3: FaultProxy;
  let kinesis: FaultProxy;
  let held: Gate;
  const prepare = (workspace: string): Promise<Exchange> => system.prepare(workspace);

  beforeAll(async () => {
    // Leases that outlast the tests: what is taken up again was given back, and had not just run out.
    const leaseMs = '300000';
    system = await BreakableSystem.start('stop', 12, {
      MILLRACE_IMPORT_LEASE_MS: leaseMs,
      MILLRACE_EXPORT_LEASE_MS: leaseMs,
      MILLRACE_STREAM_LEASE_MS: leaseMs,
    });
    ({ millrace, sample, undisturbed, s3, kinesis } = system);
  });
  beforeEach(() => {
    held = gate();
  });
  afterEach(() => {
    held.open();
    system.clearFaults();
  });
  afterAll(() => system?.stop());

  /** Sends SIGTERM; the process is gone within 10 s, by itself and without an error. `meanwhile`: once it has the signal. */
  async function stop(service: ServiceName, meanwhile?: () => Promise<void>): Promise<void> {
    const ended = millrace.services.ended(service);
    const askedAt = performance.now();
    const [end] = await Promise.all([ended, millrace.services.kill(service, 'SIGTERM'), meanwhile?.()]);
    expect({ service, ...end }).toEqual({ service, code: 0, signal: null });
    expect(performance.now() - askedAt).toBeLessThan(20_000);
  }

  /** The units of the queue wait to be taken, and nobody holds a lease of one. */
  async function expectHandedBack(runId: string, queue: string): Promise<void> {
    const units = (await openUnits(millrace.database, runId)).filter((unit) => unit.queue === queue);
    expect(units.length).toBeGreaterThan(0);
    for (const { state } of units) expect(state).toBe('ready');
    const { rows } = await millrace.database.query(
      sql`SELECT resource FROM work.lease WHERE resource LIKE 'unit:%' AND expires_at > clock_timestamp()`,
    );
    expect(rows).toEqual([]);
  }

  describe('importer', () => {
    it('ends the chunk it is at and gives the rest back', async () => {
      const exchange = await prepare('importer-chunks');
      const letGo = await holdProfile(millrace.database, exchange.workspace, customersFromBefore(sample)[2]);
      const run = await exchange.start();
      await waitFor(async () => {
        const { applied } = await chunksOf(millrace.database, run);
        return applied >= 2 && (await somebodyWaits(millrace.database));
      }, 60_000);
      const before = await chunksOf(millrace.database, run);
      await stop('importer', letGo);
      await expectHandedBack(run, 'import-run');
      expect((await chunksOf(millrace.database, run)).applied).toBeGreaterThan(before.applied);
      await millrace.services.restart('importer');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });

    it('gives up a chunk that does not end in time', async () => {
      const exchange = await prepare('importer-blocked');
      const letGo = await holdProfile(millrace.database, exchange.workspace, customersFromBefore(sample)[2]);
      const run = await exchange.start();
      await waitFor(async () => {
        const { applied, planned } = await chunksOf(millrace.database, run);
        return applied === planned - 1 && (await somebodyWaits(millrace.database));
      }, 60_000);
      await stop('importer');
      await expectHandedBack(run, 'import-run');
      await letGo();
      await millrace.services.restart('importer');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });

    it('gives up a file whose bytes do not come', async () => {
      const exchange = await prepare('importer-reading');
      const hold = { kind: 'hold', until: held.opened } as const;
      const inMiddle = s3.inject({ when: reading(exchange, 'order-lines'), fault: hold });
      const run = await exchange.start();
      await inMiddle.met();
      await stop('importer');
      await expectHandedBack(run, 'import-run');
      await millrace.services.restart('importer');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });
  });

  describe('batch-exporter', () => {
    it('gives up the parts it is uploading', async () => {
      const exchange = await prepare('exporter-uploading');
      const hold = { kind: 'hold', until: held.opened } as const;
      const inMiddle = s3.inject({ when: uploading(exchange), fault: hold });
      const run = await exchange.start();
      await inMiddle.met();
      await stop('batch-exporter');
      await expectHandedBack(run, 'export-part');
      await millrace.services.restart('batch-exporter');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });
  });

  describe('stream-publisher', () => {
    it('waits for the answer it is owed and gives its lanes back', async () => {
      const exchange = await prepare('publisher-sending');
      const delay = { kind: 'delay', ms: 700 } as const;
      const inMiddle = kinesis.inject({ when: puttingRecords(exchange), skip: 1, times: 1000, fault: delay });
      const run = await exchange.start();
      await inMiddle.met();
      await stop('stream-publisher');
      const { rows } = await millrace.database.query(
        sql`SELECT resource FROM work.lease WHERE resource LIKE 'lane:%' AND expires_at > clock_timestamp()`,
      );
      expect(rows).toEqual([]);
      kinesis.clear();
      const ended = await exchange.end(run);
      await millrace.services.restart('stream-publisher');
      await expectSameOutcome(exchange, ended, undisturbed);
    });
  });

  describe('config-api', () => {
    it('ends the event streams of its clients, and goes on with the run afterwards', async () => {
      const exchange = await prepare('api-followed');
      const hold = { kind: 'hold', until: held.opened } as const;
      const inMiddle = s3.inject({ when: reading(exchange, 'orders'), fault: hold });
      const run = await exchange.start();
      await inMiddle.met();
      const { events } = await follow(exchange, run);
      await stop('config-api');
      expect(await events).toContain('event: run');
      held.open();
      await millrace.services.restart('config-api');
      await expectSameOutcome(exchange, await exchange.end(run), undisturbed);
    });

    /** Resolves when the connection stands; `events` when it has ended. */
    async function follow(exchange: Exchange, run: string): Promise<{ readonly events: Promise<string> }> {
      const response = await fetch(`${millrace.api.url}/api/v1${exchange.path}/runs/${run}/events`, {
        headers: { authorization: `Bearer ${millrace.api.key}` },
      });
      expect(response.headers.get('content-type')).toContain('text/event-stream');
      return { events: response.text() };
    }
  });
});

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { sql, type Database } from '@millrace/database';
import { InputError, TransientError } from '@millrace/domain';
import { waitFor } from '@millrace/testing';
import {
  beginUnderLease,
  childUnits,
  createMemoryWakeUps,
  finishUnit,
  handBackUnit,
  LeaseLostError,
  newOwner,
  openUnit,
  RunEvents,
  sendCommand,
  UnitWorker,
  type RunEvent,
  type UnitHandler,
  type UnitOutcome,
  type UnitWorkerOptions,
  type WakeUps,
} from '../src/index.js';
import { openSomeUnit, recordingLog, unitState, workDatabase, type WorkDatabase } from './work-database.js';

let work: WorkDatabase;
let database: Database;
let workers: UnitWorker[] = [];

beforeEach(async () => {
  work = await workDatabase('unit-worker');
  database = work.database;
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop(500)));
  workers = [];
  await work.close();
});

const deafWakeUps: WakeUps = { wake: async () => undefined, onWakeUp: () => () => undefined };

function startWorker(
  handler: UnitHandler,
  options: Partial<UnitWorkerOptions> = {},
): UnitWorker & { readonly outcomes: UnitOutcome[] } {
  const outcomes: UnitOutcome[] = [];
  const worker = new UnitWorker({
    database,
    wakeUps: deafWakeUps,
    queues: ['import-run'],
    handler,
    owner: newOwner('test'),
    leaseTtlMs: 5000,
    sweepMs: 50,
    cancelPollMs: 500,
    log: recordingLog(),
    onOutcome: (_unit, outcome) => outcomes.push(outcome),
    ...options,
  });
  workers.push(worker);
  worker.start();
  return Object.assign(worker, { outcomes });
}

const finish: UnitHandler = async (unit, { lease }) => {
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    await finishUnit(tx, lease, unit, { ok: true });
  });
};

/** Runs until it is told to stop, then throws. */
const untilStopped: UnitHandler = async (_unit, { signal }) => {
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  signal.throwIfAborted();
};

async function inState(unitId: string, state: string, timeoutMs = 60_000): Promise<void> {
  await waitFor(async () => (await unitState(database, unitId)).state === state, timeoutMs, `the unit to be ${state}`);
}

async function runEvents(): Promise<readonly RunEvent[]> {
  return await database.transaction((tx) => new RunEvents(database).takeUnhandled(tx, 1000));
}

describe('UnitWorker', () => {
  it('runs a unit that no wake-up told of', async () => {
    const { unitId } = await openSomeUnit(database);
    startWorker(finish);
    await inState(unitId, 'done');
    const { rowCount } = await database.query(sql`SELECT FROM work.lease`);
    expect(rowCount).toBe(0);
  });

  it('runs a unit at once when woken', async () => {
    const wakeUps = createMemoryWakeUps();
    startWorker(finish, { wakeUps, sweepMs: 600_000 });
    await waitFor(async () => (await database.query(sql`SELECT 1`)).rowCount);
    const { unitId } = await openSomeUnit(database);
    await wakeUps.wake('import-run', { version: 1, unitId });
    await inState(unitId, 'done', 2000);
  });

  it('never runs one unit twice at once, with several workers after the same units', async () => {
    const opened = await Promise.all(Array.from({ length: 40 }, () => openSomeUnit(database)));
    const current = new Map<string, number>();
    const runs = new Map<string, number>();
    let overlaps = 0;
    const handler: UnitHandler = async (unit, context) => {
      if ((current.get(unit.id) ?? 0) > 0) overlaps += 1;
      current.set(unit.id, (current.get(unit.id) ?? 0) + 1);
      runs.set(unit.id, (runs.get(unit.id) ?? 0) + 1);
      await finish(unit, context);
      current.set(unit.id, (current.get(unit.id) ?? 0) - 1);
    };
    for (let count = 0; count < 3; count += 1) startWorker(handler, { concurrency: 4 });
    await waitFor(async () => runs.size === 40 && [...current.values()].every((count) => count === 0));
    await Promise.all(opened.map(({ unitId }) => inState(unitId, 'done')));
    expect(overlaps).toBe(0);
    expect([...runs.values()].every((count) => count === 1)).toBe(true);
  });

  it('takes over the unit of a killed worker when its lease has ended', async () => {
    const { unitId } = await openSomeUnit(database);
    const script = fileURLToPath(new URL('./worker-process.mjs', import.meta.url));
    const child = spawn(process.execPath, [script, work.url], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe(`running ${unitId}`);
    let begunAt = 0;
    startWorker(async (unit, context) => {
      begunAt = Date.now();
      await finish(unit, context);
    });
    child.kill('SIGKILL');
    await inState(unitId, 'done');
    expect(begunAt).toBeGreaterThan(0);
    expect((await unitState(database, unitId)).attempts).toBe(2);
  });

  it('keeps a unit that runs much longer than its lease', async () => {
    const { unitId } = await openSomeUnit(database);
    let runs = 0;
    const handler: UnitHandler = async (unit, context) => {
      runs += 1;
      const startedAt = performance.now();
      await waitFor(() => performance.now() - startedAt > 4500);
      await finish(unit, context);
    };
    startWorker(handler, { leaseTtlMs: 1500 });
    startWorker(handler, { leaseTtlMs: 1500 });
    await inState(unitId, 'done');
    expect(runs).toBe(1);
  });

  it('tries again what failed by a transient or an unknown error', async () => {
    const { unitId } = await openSomeUnit(database);
    const attempts: number[] = [];
    startWorker(async (unit, context) => {
      attempts.push(unit.attempts);
      if (unit.attempts === 1) throw new TransientError('busy', 'the service is busy');
      if (unit.attempts === 2) throw new Error('a bug');
      await finish(unit, context);
    });
    await inState(unitId, 'done');
    expect(attempts).toEqual([1, 2, 3]);
  });

  it('fails a unit for good by an InputError, cleans up, and tells so with the noted totals', async () => {
    const { unitId, runId } = await openSomeUnit(database);
    const cleaned: string[] = [];
    startWorker(
      async (_unit, context) => {
        context.noteCounts({ rowsRead: 7 });
        throw new InputError('bucket-not-found', 'bucket "x" does not exist');
      },
      { cleanUp: async (unit) => void cleaned.push(unit.id) },
    );
    await inState(unitId, 'failed');
    expect(cleaned).toEqual([unitId]);
    expect(await runEvents()).toMatchObject([
      {
        runId,
        unitId,
        body: {
          kind: 'goal-finished',
          outcome: 'failed',
          counts: { rowsRead: 7 },
          error: { code: 'bucket-not-found' },
        },
      },
    ]);
  });

  it('fails a unit after its last attempt', async () => {
    const { unitId } = await openSomeUnit(database);
    const last: boolean[] = [];
    startWorker(
      async (_unit, context) => {
        last.push(context.lastAttempt);
        throw new TransientError('busy', 'the service is busy');
      },
      { maxAttempts: 2 },
    );
    await inState(unitId, 'failed');
    expect(last).toEqual([false, true]);
    expect((await unitState(database, unitId)).error).toContain('"busy"');
  });

  it('fails a unit that killed its workers as often as attempts are allowed, without beginning it again', async () => {
    const { unitId } = await openSomeUnit(database);
    await database.query(sql`UPDATE work.unit SET state = 'running', attempts = 3 WHERE id = ${unitId}`);
    const cleaned: string[] = [];
    let runs = 0;
    startWorker(async () => void (runs += 1), { maxAttempts: 3, cleanUp: async (unit) => void cleaned.push(unit.id) });
    await inState(unitId, 'failed');
    expect(runs).toBe(0);
    expect(cleaned).toEqual([unitId]);
    expect(await runEvents()).toMatchObject([{ body: { outcome: 'failed', error: { code: 'attempts-exhausted' } } }]);
  });

  it('tries again a handler that returns without ending its unit', async () => {
    const { unitId } = await openSomeUnit(database);
    startWorker(async (unit, context) => {
      if (unit.attempts === 2) await finish(unit, context);
    });
    await inState(unitId, 'done');
  });

  it('leaves a unit alone that its handler handed back to wait, and does not count the attempt', async () => {
    const { unitId } = await openSomeUnit(database);
    const attempts: number[] = [];
    startWorker(async (unit, context) => {
      attempts.push(unit.attempts);
      if (attempts.length === 3) return await finish(unit, context);
      await database.transaction((tx) => handBackUnit(tx, context.lease, unit, 10));
    });
    await inState(unitId, 'done');
    expect(attempts).toEqual([1, 1, 1]);
  });

  it('tells a running handler of a cancel', async () => {
    const { unitId, runId } = await openSomeUnit(database);
    const worker = startWorker(untilStopped, { cancelPollMs: 1000 });
    await waitFor(() => worker.running === 1);
    await sendCommand(database, { kind: 'cancel-run', runId });
    await inState(unitId, 'cancelled');
    expect(await runEvents()).toMatchObject([{ body: { kind: 'goal-finished', outcome: 'cancelled' } }]);
  });

  it('cancels units of a cancelled run without running them, and the parts without an event of their own', async () => {
    const { unitId, runId } = await openSomeUnit(database);
    await openUnit(database, { queue: 'import-run', parentId: unitId, payload: { version: 1 } });
    await sendCommand(database, { kind: 'cancel-run', runId });
    let runs = 0;
    startWorker(async () => void (runs += 1));
    await inState(unitId, 'cancelled');
    await waitFor(async () => (await childUnits(database, unitId)).every((unit) => unit.state === 'cancelled'));
    expect(runs).toBe(0);
    expect(await runEvents()).toHaveLength(1);
  });

  it('lets a handler finish in spite of a cancel', async () => {
    const { unitId, runId } = await openSomeUnit(database);
    const worker = startWorker(async (unit, context) => {
      await waitFor(() => context.signal.aborted);
      await finish(unit, context);
    });
    await waitFor(() => worker.running === 1);
    await sendCommand(database, { kind: 'cancel-run', runId });
    await inState(unitId, 'done');
    expect(await runEvents()).toEqual([]);
  });

  it('begins a cancelled unit that refuses, and tries it again after a failure', async () => {
    const { unitId, runId } = await openSomeUnit(database);
    await sendCommand(database, { kind: 'cancel-run', runId });
    let attempts = 0;
    const handler: UnitHandler = async (unit, context) => {
      attempts += 1;
      await waitFor(() => context.signal.aborted);
      if (attempts === 1) throw new TransientError('test', 'once more');
      await finish(unit, context);
    };
    startWorker(handler, { refusesCancel: async (unit) => unit.id === unitId });
    await inState(unitId, 'done');
    expect(attempts).toBe(2);
    expect(await runEvents()).toEqual([]);
  });

  it('tells cleaning up how the unit ends and why', async () => {
    const ends: unknown[] = [];
    const cleanUp: UnitWorkerOptions['cleanUp'] = async (_unit, { outcome, error }) => void ends.push([outcome, error]);
    const error = new InputError('test', 'no such file');
    await openSomeUnit(database);
    const cancelled = await openSomeUnit(database);
    await sendCommand(database, { kind: 'cancel-run', runId: cancelled.runId });
    startWorker(async () => Promise.reject(error), { cleanUp });
    await waitFor(() => ends.length === 2);
    expect(ends).toEqual(
      expect.arrayContaining([
        ['failed', error],
        ['cancelled', undefined],
      ]),
    );
  });

  it('hands its units back on a stop, at once free for others, without counting the attempt', async () => {
    const { unitId } = await openSomeUnit(database);
    const worker = startWorker(untilStopped);
    await waitFor(() => worker.running === 1);
    await worker.stop();
    expect(worker.outcomes).toEqual(['handed-back']);
    expect(await unitState(database, unitId)).toMatchObject({ state: 'ready', attempts: 0 });
    startWorker(finish);
    await inState(unitId, 'done', 2000);
  });

  it('gives a unit back by force when its handler does not end in time, and the handler can write no more', async () => {
    const { unitId } = await openSomeUnit(database);
    let late: unknown;
    let letGo = (): void => undefined;
    const stopped = new Promise<void>((resolve) => (letGo = resolve));
    const worker = startWorker(async (unit, { lease }) => {
      await database
        .transaction(async (tx) => {
          await beginUnderLease(tx, lease);
          await tx.query(sql`SELECT pg_sleep(600)`);
        })
        .catch(() => undefined);
      await stopped;
      late = await database.transaction((tx) => finishUnit(tx, lease, unit)).catch((error: unknown) => error);
    });
    await waitFor(() => worker.running === 1);
    await worker.stop(200);
    expect(await unitState(database, unitId)).toMatchObject({ state: 'ready', attempts: 0 });
    letGo();
    await waitFor(() => late !== undefined);
    expect(late).toBeInstanceOf(LeaseLostError);
  });

  it('tells the handler that the lease is lost, and writes nothing', async () => {
    const { unitId } = await openSomeUnit(database);
    let reason: string | undefined;
    const worker = startWorker(
      async (unit, context) => {
        await untilStopped(unit, context).catch(() => undefined);
        reason = context.stopReason();
        throw new InputError('whatever', 'must not be written');
      },
      { leaseTtlMs: 1000, sweepMs: 600_000 },
    );
    await waitFor(() => worker.running === 1);
    // As if another worker had taken it over.
    await database.query(sql`UPDATE work.lease SET token = token + 1, expires_at = now() + interval '1 hour'`);
    await waitFor(() => worker.outcomes.length === 1);
    expect(reason).toBe('lease-lost');
    expect(worker.outcomes).toEqual(['lease-lost']);
    expect((await unitState(database, unitId)).state).toBe('running');
  });

  it('gives a small workspace its turn before the rest of a large one', async () => {
    const runId = randomUUID();
    for (let count = 0; count < 6; count += 1) await openSomeUnit(database, { workspaceId: 1, runId });
    await openSomeUnit(database, { workspaceId: 2 });
    const order: number[] = [];
    const handler: UnitHandler = async (unit, context) => {
      order.push(unit.workspaceId);
      await untilStopped(unit, context);
    };
    startWorker(handler, { concurrency: 3 });
    await waitFor(() => order.length === 3);
    expect(order).toEqual([1, 2, 1]);
  });

  it('lives through a database that goes away and comes back', async () => {
    const { unitId } = await openSomeUnit(database);
    let claims = 0;
    const flaky = Object.create(database, {
      transaction: {
        value: async (...args: Parameters<Database['transaction']>) => {
          claims += 1;
          if (claims <= 2) throw new TransientError('database-unavailable', 'PostgreSQL cannot be reached');
          return await database.transaction(...args);
        },
      },
      query: { value: database.query.bind(database) },
    }) as Database;
    startWorker(finish, { database: flaky });
    await inState(unitId, 'done');
    expect(claims).toBeGreaterThan(2);
  });
});

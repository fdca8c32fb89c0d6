import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import Bull from 'bull';
import type { Database } from '@millrace/database';
import type { QueueName } from '@millrace/domain';
import { waitFor } from '@millrace/testing';
import {
  beginUnderLease,
  consumeWakeUps,
  finishUnit,
  JobQueueModule,
  newOwner,
  UnitWorker,
  WAKE_UPS,
  type Log,
  type UnitHandler,
  type WakeUps,
} from '../src/index.js';
import { redisGate, type RedisGate } from './redis-gate.js';
import { openSomeUnit, recordingLog, unitState, workDatabase, type WorkDatabase } from './work-database.js';

let work: WorkDatabase;
let database: Database;
let gate: RedisGate;
let atEnd: (() => Promise<void>)[] = [];

beforeEach(async () => {
  work = await workDatabase('wake-ups');
  database = work.database;
  gate = await redisGate();
});

afterEach(async () => {
  for (const end of atEnd.reverse()) await end();
  atEnd = [];
  await gate.close();
  await work.close();
});

async function startService(options: {
  readonly wakes?: QueueName[];
  readonly consumes?: QueueName[];
  readonly log?: Log;
}): Promise<{ app: INestApplicationContext; wakeUps: WakeUps }> {
  const module = JobQueueModule.forRoot({ redisUrl: gate.url, log: recordingLog(), ...options });
  const app = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
  atEnd.push(() => app.close());
  return { app, wakeUps: app.get<WakeUps>(WAKE_UPS) };
}

const finish: UnitHandler = async (unit, { lease }) => {
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, lease);
    await finishUnit(tx, lease, unit);
  });
};

function startWorker(wakeUps: WakeUps, sweepMs: number, handler: UnitHandler = finish): UnitWorker {
  const worker = new UnitWorker({
    database,
    wakeUps,
    queues: ['import-run'],
    handler,
    owner: newOwner('test'),
    sweepMs,
    log: recordingLog(),
  });
  worker.start();
  atEnd.push(() => worker.stop(500));
  return worker;
}

/** Until the other side has connected and listens, as its first message arrives. */
async function wokenBy(wakeUps: WakeUps, queue: 'stream-lane' | 'run-event', count: () => number): Promise<void> {
  const before = count();
  await waitFor(async () => {
    await wakeUps.wake(queue, { version: 1 });
    return count() > before;
  });
}

describe('wake-ups over Bull', () => {
  it('start a unit in another process at once', async () => {
    await gate.open();
    const producer = await startService({ wakes: ['import-run'] });
    const consumer = await startService({ consumes: ['import-run'] });
    startWorker(consumer.wakeUps, 600_000);
    const { unitId } = await openSomeUnit(database);
    await waitFor(async () => {
      await producer.wakeUps.wake('import-run', { version: 1, unitId });
      return (await unitState(database, unitId)).state === 'done';
    });
  });

  it('reach every process that consumes a plain queue', async () => {
    await gate.open();
    const producer = await startService({ wakes: ['stream-lane'] });
    const runs = [0, 0, 0];
    for (const index of runs.keys()) {
      const { wakeUps } = await startService({ consumes: ['stream-lane'] });
      const consumer = consumeWakeUps(wakeUps, 'stream-lane', async () => void (runs[index] = (runs[index] ?? 0) + 1), {
        log: recordingLog(),
        sweepMs: 600_000,
      });
      atEnd.push(() => consumer.stop());
    }
    for (const index of runs.keys()) await wokenBy(producer.wakeUps, 'stream-lane', () => runs[index] ?? 0);
    await waitFor(async () => {
      const before = [...runs];
      await producer.wakeUps.wake('stream-lane', { version: 1 });
      await waitFor(() => runs.every((count, index) => count > (before[index] ?? 0)), 1000);
      return true;
    });
  });

  it('are coalesced, however many are sent, and a change just before the last one is seen', async () => {
    await gate.open();
    const producer = await startService({ wakes: ['run-event'] });
    const { wakeUps } = await startService({ consumes: ['run-event'] });
    let seen = 0;
    let runs = 0;
    let value = 0;
    const consumer = consumeWakeUps(
      wakeUps,
      'run-event',
      async () => {
        seen = value;
        runs += 1;
      },
      { log: recordingLog(), sweepMs: 600_000 },
    );
    atEnd.push(() => consumer.stop());
    await wokenBy(producer.wakeUps, 'run-event', () => runs);
    const before = runs;
    for (value = 1; value < 2000; value += 1) await producer.wakeUps.wake('run-event', { version: 1 });
    await waitFor(() => seen === 2000);
    expect(runs - before).toBeLessThan(200);
  });

  it('of an unknown version are ignored with a warning', async () => {
    await gate.open();
    const log = recordingLog();
    await startService({ consumes: ['run-event'], log });
    const newer = new Bull('run-event', gate.url, { prefix: 'millrace' });
    atEnd.push(() => newer.close());
    await newer.add({ version: 2, unexpected: true });
    await waitFor(() => log.lines.some((line) => line.level === 'warn' && /unknown form/.test(line.message)));
  });

  it('for a queue the service did not name are dropped and reported', async () => {
    const log = recordingLog();
    const { wakeUps } = await startService({ wakes: ['run-event'], log });
    await wakeUps.wake('stream-lane', { version: 1 });
    expect(log.lines.filter((line) => line.level === 'error')).toHaveLength(1);
  });

  it('leave nothing behind in Redis once they are delivered, and never more than ids', async () => {
    await gate.open();
    const producer = await startService({ wakes: ['import-run'] });
    const consumer = await startService({ consumes: ['import-run'] });
    let woken = 0;
    consumer.wakeUps.onWakeUp('import-run', () => void (woken += 1));
    const { unitId } = await openSomeUnit(database);
    await waitFor(async () => {
      await producer.wakeUps.wake('import-run', { version: 1, unitId });
      return woken > 0;
    });
    const queue = new Bull('import-run', gate.url, { prefix: 'millrace' });
    atEnd.push(() => queue.close());
    await waitFor(async () => (await queue.count()) === 0 && (await queue.getActiveCount()) === 0);
    expect(await queue.getCompletedCount()).toBe(0);
    await expect(producer.wakeUps.wake('import-run', { version: 1, unitId: 'not an id' } as never)).rejects.toThrow();
  });
});

describe('with Redis away', () => {
  it('a service starts, warns once, does its work by sweeps, and stops', async () => {
    const log = recordingLog();
    const { app, wakeUps } = await startService({ wakes: ['run-event'], consumes: ['import-run'], log });
    startWorker(wakeUps, 100);
    const { unitId } = await openSomeUnit(database);
    await wakeUps.wake('import-run', { version: 1, unitId });
    await waitFor(async () => (await unitState(database, unitId)).state === 'done');
    await waitFor(() => log.lines.length > 0);
    expect(log.lines.filter((line) => line.level === 'warn')).toHaveLength(1);
    await app.close();
  });

  it('wake-ups work as soon as it comes up', async () => {
    const log = recordingLog();
    const { wakeUps } = await startService({ consumes: ['run-event'], log });
    let runs = 0;
    const consumer = consumeWakeUps(wakeUps, 'run-event', async () => void (runs += 1), {
      log: recordingLog(),
      sweepMs: 600_000,
    });
    atEnd.push(() => consumer.stop());
    await waitFor(() => log.lines.length > 0);
    await gate.open();
    await wokenBy(wakeUps, 'run-event', () => runs);
    expect(log.lines.map((line) => line.level)).toEqual(['warn', 'info']);
  });

  it('restarted empty in the middle of work, nothing is lost and wake-ups work again', async () => {
    await gate.open();
    const { wakeUps } = await startService({ wakes: ['run-event'], consumes: ['import-run', 'run-event'] });
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    let begun = 0;
    startWorker(wakeUps, 200, async (unit, context) => {
      begun += 1;
      await held;
      await finish(unit, context);
    });
    let runs = 0;
    const consumer = consumeWakeUps(wakeUps, 'run-event', async () => void (runs += 1), {
      log: recordingLog(),
      sweepMs: 600_000,
    });
    atEnd.push(() => consumer.stop());
    await wokenBy(wakeUps, 'run-event', () => runs);

    const units = [await openSomeUnit(database), await openSomeUnit(database), await openSomeUnit(database)];
    for (const { unitId } of units) await wakeUps.wake('import-run', { version: 1, unitId });
    await waitFor(() => begun === 1);
    await gate.close();
    await gate.empty();
    letGo();
    for (const { unitId } of units) await waitFor(async () => (await unitState(database, unitId)).state === 'done');
    await gate.open();
    await wokenBy(wakeUps, 'run-event', () => runs);
    expect(begun).toBe(3);
  });
});

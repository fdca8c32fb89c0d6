import { randomUUID } from 'node:crypto';
import { sql, type Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { waitFor } from '@millrace/testing';
import {
  childUnits,
  finishUnit,
  hastenUnit,
  handBackUnit,
  loadGoalSnapshot,
  openUnit,
  removeExpiredWork,
  retryUnit,
  RunEvents,
  saveGoalSnapshot,
  sendCommand,
  takeCommands,
  writeRunEvent,
} from '../src/index.js';
import { claimUnit, type ClaimedUnit } from '../src/claim-unit.js';
import { openSomeUnit, someSnapshot, unitState, workDatabase, type WorkDatabase } from './work-database.js';

let work: WorkDatabase;
let database: Database;

beforeEach(async () => {
  work = await workDatabase('work-rows');
  database = work.database;
});

afterEach(async () => {
  await work.close();
});

async function claim(): Promise<ClaimedUnit | undefined> {
  return await claimUnit(database, { queues: ['import-run', 'export-part'], owner: 'test', leaseTtlMs: 60_000 });
}

describe('goal snapshots', () => {
  it('of the same goal are one row, whatever the order of their keys', async () => {
    const snapshot = someSnapshot();
    const reordered = Object.fromEntries(Object.entries(snapshot).reverse()) as typeof snapshot;
    const [first, second] = await Promise.all([
      saveGoalSnapshot(database, snapshot),
      saveGoalSnapshot(database, reordered),
    ]);
    expect(second).toEqual(first);
    expect(await loadGoalSnapshot(database, first.snapshotId)).toEqual(snapshot);
  });

  it('of an edited goal are another row, and the first stays as it was', async () => {
    const snapshot = someSnapshot();
    const before = await saveGoalSnapshot(database, snapshot);
    const after = await saveGoalSnapshot(database, { ...snapshot, goal: { ...snapshot.goal, name: 'renamed' } });
    expect(after.snapshotId).not.toBe(before.snapshotId);
    expect((await loadGoalSnapshot(database, before.snapshotId)).goal.name).toBe('changes');
  });

  it('that are gone are named', async () => {
    await expect(loadGoalSnapshot(database, randomUUID())).rejects.toThrow(InputError);
  });
});

describe('units', () => {
  it('of a parent carry its run, goal and snapshot, and show their result', async () => {
    const { unitId, runId, goalId } = await openSomeUnit(database);
    const partId = await openUnit(database, {
      queue: 'export-part',
      parentId: unitId,
      payload: { version: 1, part: 1 },
    });
    await claim();
    const part = (await claim()) as ClaimedUnit;
    expect(part.unit).toMatchObject({ id: partId, runId, goalId, parentId: unitId, payload: { version: 1, part: 1 } });
    await finishUnit(database, part.lease, part.unit, { rows: 5 });
    expect(await childUnits(database, unitId)).toMatchObject([{ id: partId, state: 'done', result: { rows: 5 } }]);
  });

  it('are not claimed before their delay is over, unless hastened', async () => {
    const { unitId } = await openSomeUnit(database);
    const first = (await claim()) as ClaimedUnit;
    await handBackUnit(database, first.lease, first.unit, 600_000);
    expect(await claim()).toBeUndefined();
    await hastenUnit(database, unitId);
    expect((await claim())?.unit.attempts).toBe(1);
  });

  it('tried again keep the error of the last attempt in sight', async () => {
    const { unitId } = await openSomeUnit(database);
    const { lease, unit } = (await claim()) as ClaimedUnit;
    await retryUnit(database, lease, unit, { delayMs: 0, error: new InputError('x-y', 'says why') });
    expect(await unitState(database, unitId)).toMatchObject({
      state: 'ready',
      attempts: 1,
      error: expect.stringContaining('says why'),
    });
  });

  it('cannot be ended twice', async () => {
    await openSomeUnit(database);
    const { lease, unit } = (await claim()) as ClaimedUnit;
    await finishUnit(database, lease, unit);
    await expect(finishUnit(database, lease, unit)).rejects.toThrow(/is lost/);
  });

  it('stay open when the transaction that finishes them rolls back', async () => {
    const { unitId } = await openSomeUnit(database);
    const { lease, unit } = (await claim()) as ClaimedUnit;
    await database
      .transaction(async (tx) => {
        await finishUnit(tx, lease, unit);
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    expect((await unitState(database, unitId)).state).toBe('running');
    await finishUnit(database, lease, unit);
  });
});

describe('commands', () => {
  it('of one goal are handled in order, one at a time, also by two takers', async () => {
    const goals = [randomUUID(), randomUUID(), randomUUID()];
    for (let round = 0; round < 5; round += 1) {
      for (const goalId of goals) {
        await sendCommand(
          database,
          round % 2 === 0
            ? { kind: 'activate-stream', goalId, snapshotId: randomUUID() }
            : { kind: 'deactivate-stream', goalId },
        );
      }
    }
    const seen: { goalId: string; kind: string }[] = [];
    const take = (): Promise<number> =>
      takeCommands(
        database,
        ['activate-stream', 'deactivate-stream'],
        async (_tx, command) => void seen.push({ goalId: command.goalId, kind: command.kind }),
      );
    await waitFor(async () => {
      await Promise.all([take(), take(), take()]);
      return seen.length === 15;
    });
    for (const goalId of goals) {
      expect(seen.filter((each) => each.goalId === goalId).map((each) => each.kind[0])).toEqual([
        'a',
        'd',
        'a',
        'd',
        'a',
      ]);
    }
  });

  it('stay open when their handler fails', async () => {
    await sendCommand(database, { kind: 'deactivate-stream', goalId: randomUUID() });
    await expect(
      takeCommands(database, ['deactivate-stream'], async () => Promise.reject(new Error('no'))),
    ).rejects.toThrow('no');
    expect(await takeCommands(database, ['deactivate-stream'], async () => undefined)).toBe(1);
  });
});

describe('run events', () => {
  const note = (message: string) => ({ kind: 'goal-note', level: 'info', message }) as const;

  it('are handled once, in order per run, by readers side by side', async () => {
    const runs = Array.from({ length: 5 }, () => ({ runId: randomUUID(), goalId: randomUUID() }));
    for (let count = 0; count < 20; count += 1)
      for (const run of runs) await writeRunEvent(database, run, note(String(count)));
    const seen = new Map<string, string[]>(runs.map((run) => [run.runId, []]));
    const events = new RunEvents(database);
    const read = (): Promise<number> =>
      events.handle(7, async (_tx, taken) => {
        for (const event of taken) if (event.body.kind === 'goal-note') seen.get(event.runId)?.push(event.body.message);
      });
    await waitFor(async () => (await Promise.all([read(), read(), read()])).every((count) => count === 0));
    const expected = Array.from({ length: 20 }, (_, count) => String(count));
    for (const run of runs) expect(seen.get(run.runId)).toEqual(expected);
  });

  it('of a run that another reader holds are left out, others are not', async () => {
    const [held, free] = [randomUUID(), randomUUID()];
    for (const runId of [held, held, free]) await writeRunEvent(database, { runId, goalId: randomUUID() }, note(runId));
    const events = new RunEvents(database);
    await database.transaction(async (tx) => {
      expect(await events.takeUnhandled(tx, 1)).toMatchObject([{ runId: held }]);
      const others = await database.transaction((other) => events.takeUnhandled(other, 10));
      expect(others.map((event) => event.runId)).toEqual([free]);
    });
  });

  it('come again when their reader fails', async () => {
    await writeRunEvent(database, { runId: randomUUID(), goalId: randomUUID() }, note('again'));
    const events = new RunEvents(database);
    await expect(events.handle(10, async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await events.handle(10, async () => undefined)).toBe(1);
  });

  it('of a newer release are put aside and told, hold nothing up, and are read when they can be', async () => {
    const [newer, other] = [randomUUID(), randomUUID()];
    const goalId = randomUUID();
    await database.query(
      sql`INSERT INTO work.run_event (run_id, goal_id, body) VALUES (${newer}, ${goalId}, '{"kind":"goal-paused"}')`,
    );
    for (const runId of [newer, other]) await writeRunEvent(database, { runId, goalId }, note(runId));
    const told: unknown[] = [];
    const events = new RunEvents(database, (event) => told.push(event));
    const seen: string[] = [];
    const read = (): Promise<number> =>
      events.handle(1, async (_tx, taken) => void seen.push(...taken.map((event) => event.runId)));
    while ((await read()) > 0);
    expect([...seen].sort()).toEqual([newer, other].sort());
    expect(told).toEqual([{ id: expect.any(String), runId: newer, goalId, unitId: undefined }]);
    // The release that knows it.
    await database.query(sql`UPDATE work.run_event SET body = '{"kind":"goal-started"}' WHERE run_id = ${newer}`);
    await events.readAgain();
    expect(await events.handle(10, async (_tx, taken) => void expect(taken).toMatchObject([{ runId: newer }]))).toBe(1);
  });

  it('of a wrong shape are refused where they are written', async () => {
    await expect(
      writeRunEvent(database, { runId: randomUUID(), goalId: randomUUID() }, { kind: 'nonsense' } as never),
    ).rejects.toThrow();
  });
});

describe('removeExpiredWork', () => {
  it('removes handled events and closed runs after their time, and nothing else', async () => {
    const old = sql`now() - interval '60 days'`;
    const closed = await openSomeUnit(database);
    await openUnit(database, { queue: 'export-part', parentId: closed.unitId, payload: {} });
    await database.query(sql`UPDATE work.unit SET state = 'done', updated_at = ${old}`);
    const open = await openSomeUnit(database);
    await database.query(sql`UPDATE work.unit SET updated_at = ${old} WHERE id = ${open.unitId}`);
    await sendCommand(database, { kind: 'cancel-run', runId: open.runId });
    await sendCommand(database, { kind: 'cancel-run', runId: closed.runId });
    await sendCommand(database, { kind: 'deactivate-stream', goalId: randomUUID() });
    await database.query(sql`UPDATE work.command SET created_at = ${old}`);
    await writeRunEvent(database, open, { kind: 'goal-started' });
    await writeRunEvent(database, closed, { kind: 'goal-started' });
    await database.query(sql`UPDATE work.run_event SET handled_at = ${old} WHERE run_id = ${closed.runId}`);
    await database.query(sql`UPDATE work.goal_snapshot SET created_at = ${old}, kind = 'import-profiles'`);

    while ((await removeExpiredWork(database)) > 0);

    const count = async (table: string): Promise<number> =>
      (await database.query(sql`SELECT FROM ${sql.id('work', table)}`)).rowCount;
    expect(await Promise.all(['unit', 'command', 'run_event', 'goal_snapshot'].map(count))).toEqual([1, 2, 1, 1]);
    expect((await unitState(database, open.unitId)).state).toBe('ready');
  });
});

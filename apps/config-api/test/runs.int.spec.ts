import { sql } from '@millrace/database';
import type { RunEventBody } from '@millrace/domain';
import { writeRunEvent } from '@millrace/job-queue';
import { waitFor } from '@millrace/testing';
import type { RunView } from '../src/run-connection/run-views.js';
import { exportGoal, importGoal, request, s3Connection, startApi, w, type Api } from './api-fixture.js';

let api: Api;
let everyone: string;
beforeAll(async () => {
  api = await startApi('runs');
  everyone = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule: { kind: 'all', rules: [] } })).body.id;
});
afterAll(() => api.close());

interface Prepared {
  readonly connectionId: string;
  /** The export stands first in the user's order, the import runs first all the same. */
  readonly importId: string;
  readonly exportId: string;
}

let connections = 0;
async function prepare(): Promise<Prepared> {
  const connectionId = (
    await api.call('POST', `${w}/connections`, s3Connection({ name: `Bucket ${(connections += 1)}` }))
  ).body.id;
  const goals = `${w}/connections/${connectionId}/goals`;
  const exportId = (await api.call('POST', goals, exportGoal(everyone))).body.id;
  const importId = (await api.call('POST', goals, importGoal())).body.id;
  return { connectionId, importId, exportId };
}

const start = async ({ connectionId }: Prepared): Promise<RunView> =>
  (await api.call('POST', `${w}/connections/${connectionId}/runs`)).body;
const show = async (id: string): Promise<RunView> => (await api.call('GET', `${w}/runs/${id}`)).body;
const tell = (runId: string, goalId: string, body: RunEventBody): Promise<void> => api.tell(runId, goalId, body);
const finish = (
  runId: string,
  goalId: string,
  outcome: 'succeeded' | 'failed' | 'cancelled',
  counts: object = {},
): Promise<void> =>
  tell(runId, goalId, {
    kind: 'goal-finished',
    outcome,
    counts: { ...counts },
    ...(outcome === 'failed' ? { error: { code: 'bucket-not-found', message: 'there is no bucket' } } : {}),
  });
const until = (id: string, condition: (run: RunView) => boolean): Promise<RunView> =>
  waitFor(async () => {
    const run = await show(id);
    return condition(run) ? run : undefined;
  });
const states = (run: RunView): string[] => run.goals.map(({ state }) => state);

async function unitsOf(runId: string): Promise<readonly { queue: string; goal_id: string }[]> {
  const { rows } = await api.database.query<{ queue: string; goal_id: string }>(
    sql`SELECT queue, goal_id FROM work.unit WHERE run_id = ${runId} ORDER BY id`,
  );
  return rows;
}

describe('a run', () => {
  it('goes through its goals, imports first, and keeps what workers tell', async () => {
    const prepared = await prepare();
    const { importId, exportId } = prepared;
    const run = await start(prepared);
    expect(run).toMatchObject({ state: 'queued', requestedBy: 'bootstrap', cancelRequested: false });
    expect(run.goals.map(({ goalId, state }) => [goalId, state])).toEqual([
      [importId, 'queued'],
      [exportId, 'waiting'],
    ]);
    expect(await unitsOf(run.id)).toEqual([{ queue: 'import-run', goal_id: importId }]);

    await tell(run.id, importId, { kind: 'goal-started' });
    const progress = { phase: 'apply', done: 3, total: 10, unit: 'chunks' } as const;
    await tell(run.id, importId, { kind: 'goal-progress', progress, counts: { rowsRead: 30, created: 30 } });
    await tell(run.id, importId, { kind: 'goal-note', level: 'warn', message: 'a column is new', at: 'customers.csv' });
    const running = await until(run.id, ({ goals }) => goals[0]!.notes.length === 1);
    expect(running).toMatchObject({
      state: 'running',
      goals: [
        {
          state: 'running',
          progress,
          counts: { rowsRead: 30, rejected: 0 },
          notes: [{ level: 'warn', at: 'customers.csv' }],
        },
        { state: 'waiting' },
      ],
    });

    await finish(run.id, importId, 'succeeded', { rowsRead: 100, created: 90, rejected: 10 });
    await until(run.id, ({ goals }) => goals[1]!.state === 'queued');
    expect(await unitsOf(run.id)).toEqual([
      { queue: 'import-run', goal_id: importId },
      { queue: 'export-run', goal_id: exportId },
    ]);
    await finish(run.id, exportId, 'succeeded', {
      rows: 90,
      files: [{ name: 'a.csv', rows: 90, bytes: 900, sha256: '0'.repeat(64) }],
    });
    const over = await until(run.id, ({ state }) => state === 'succeeded');
    expect(over.goals.map(({ counts }) => counts)).toMatchObject([
      { rowsRead: 100, rejected: 10 },
      { rows: 90, files: [{ name: 'a.csv' }] },
    ]);
    expect(over.finishedAt).not.toBeNull();
  });

  it('hands on the yes to repeating sums', async () => {
    const { connectionId } = await prepare();
    const run = (await api.call('POST', `${w}/connections/${connectionId}/runs`, { repeatSums: true })).body;
    expect(run.repeatSums).toBe(true);
    const { rows } = await api.database.query<{ payload: string }>(
      sql`SELECT payload FROM work.unit WHERE run_id = ${run.id}`,
    );
    expect(JSON.parse(rows[0]!.payload)).toEqual({ version: 1, repeatSums: true, dryRun: false });
    expect((await api.call('POST', `${w}/connections/${connectionId}/runs`, { colour: 'red' })).status).toBe(400);
  });

  it('that is dry leaves exports out and tells the importer; its samples are for those who may read profiles', async () => {
    const { connectionId } = await prepare();
    const { id, dryRun, goals } = (await api.call('POST', `${w}/connections/${connectionId}/runs`, { dryRun: true }))
      .body as { id: string; dryRun: boolean; goals: { kind: string }[] };
    expect({ dryRun, kinds: goals.map(({ kind }) => kind) }).toEqual({ dryRun: true, kinds: ['import-profiles'] });
    const { rows } = await api.database.query<{ payload: string }>(
      sql`SELECT payload FROM work.unit WHERE run_id = ${id}`,
    );
    expect(JSON.parse(rows[0]!.payload)).toEqual({ version: 1, repeatSums: false, dryRun: true });
    const show = (key?: string) => api.call('GET', `${w}/runs/${id}/dry-run`, undefined, key);
    expect((await show(await api.newKey(['run:read'], 'acme'))).status).toBe(403);
    expect(await show()).toMatchObject({ status: 400, body: { code: 'samples-off' } });
  });

  it('leaves out goals that are switched off', async () => {
    const prepared = await prepare();
    await api.call('PATCH', `${w}/goals/${prepared.importId}`, { active: false });
    expect((await start(prepared)).goals.map(({ goalId }) => goalId)).toEqual([prepared.exportId]);
  });

  it('ends with the first goal that fails', async () => {
    const prepared = await prepare();
    const run = await start(prepared);
    await finish(run.id, prepared.importId, 'failed');
    const over = await until(run.id, ({ state }) => state === 'failed');
    expect(states(over)).toEqual(['failed', 'not-run']);
    expect(over.goals[0]!.error).toEqual({ code: 'bucket-not-found', message: 'there is no bucket' });
    expect(await unitsOf(run.id)).toHaveLength(1);
    expect((await start(prepared)).state).toBe('queued');
  });

  it('keeps the goals it began with, whatever is changed meanwhile', async () => {
    const prepared = await prepare();
    const connection = `${w}/connections/${prepared.connectionId}`;
    await api.call('PATCH', connection, { consentObjectives: ['news'] });
    const run = await start(prepared);
    await api.call('PATCH', `${w}/goals/${prepared.exportId}`, { name: 'Changed', target: { bucket: 'elsewhere' } });
    await api.call('PATCH', connection, { consentObjectives: [] });
    await finish(run.id, prepared.importId, 'succeeded');
    await until(run.id, ({ goals }) => goals[1]!.state === 'queued');
    const { rows } = await api.database.query<{ document: string }>(sql`
      SELECT s.document FROM work.unit u JOIN work.goal_snapshot s ON s.id = u.snapshot_id WHERE u.run_id = ${run.id} AND u.queue = 'export-run'`);
    expect(JSON.parse(rows[0]!.document)).toMatchObject({
      goal: { name: 'Export everyone', target: { bucket: 'acme-files' } },
      consentObjectives: ['news'],
    });
  });

  it('holds no snapshot any longer than it needs it', async () => {
    const prepared = await prepare();
    const run = await start(prepared);
    await finish(run.id, prepared.importId, 'failed');
    await until(run.id, ({ state }) => state === 'failed');
    const { rows } = await api.database.query(
      sql`SELECT FROM config.run_goal WHERE run_id = ${run.id} AND snapshot IS NOT NULL`,
    );
    expect(rows).toHaveLength(0);
  });
});

describe('starting a run', () => {
  it('is refused while another one is under way, and wins once among many at a time', async () => {
    const prepared = await prepare();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => api.call('POST', `${w}/connections/${prepared.connectionId}/runs`)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([202, ...Array.from({ length: 7 }, () => 409)]);
    expect(answers.find(({ status }) => status === 409)?.body.code).toBe('run-conflict');
    expect((await api.call('DELETE', `${w}/connections/${prepared.connectionId}`)).status).toBe(409);
  });

  it('is refused where there is nothing to run', async () => {
    const empty = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Empty' }))).body.id;
    const start = (): Promise<{ status: number; body: { code: string } }> =>
      api.call('POST', `${w}/connections/${empty}/runs`);
    expect(await start()).toMatchObject({ status: 409, body: { code: 'nothing-to-run-conflict' } });
    await api.call('POST', `${w}/connections/${empty}/goals`, importGoal());
    await api.call('PATCH', `${w}/connections/${empty}`, { active: false });
    expect(await start()).toMatchObject({ status: 409, body: { code: 'nothing-to-run-conflict' } });
  });
});

describe('cancelling a run', () => {
  it('commits a command and ends the run when the worker says so', async () => {
    const prepared = await prepare();
    const run = await start(prepared);
    for (let twice = 0; twice < 2; twice += 1) {
      expect(await api.call('POST', `${w}/runs/${run.id}/cancel`)).toMatchObject({
        status: 202,
        body: { cancelRequested: true },
      });
    }
    const { rows } = await api.database.query(
      sql`SELECT FROM work.command WHERE kind = 'cancel-run' AND run_id = ${run.id}`,
    );
    expect(rows).toHaveLength(1);
    await finish(run.id, prepared.importId, 'cancelled', { rowsRead: 5 });
    const over = await until(run.id, ({ state }) => state === 'cancelled');
    expect(states(over)).toEqual(['cancelled', 'not-run']);
    expect((await api.call('POST', `${w}/runs/${run.id}/cancel`)).body.code).toBe('run-over-conflict');
  });

  it('runs nothing more when the goal could not be taken back', async () => {
    const prepared = await prepare();
    const run = await start(prepared);
    await api.call('POST', `${w}/runs/${run.id}/cancel`);
    await finish(run.id, prepared.importId, 'succeeded');
    expect(states(await until(run.id, ({ state }) => state === 'cancelled'))).toEqual(['succeeded', 'not-run']);
  });
});

describe('the history', () => {
  it('is filtered and paged, newest first, and outlives its connection', async () => {
    const prepared = await prepare();
    const ids: string[] = [];
    for (let index = 0; index < 3; index += 1) {
      const { id } = await start(prepared);
      await finish(id, prepared.importId, 'failed');
      await until(id, ({ state }) => state === 'failed');
      ids.unshift(id);
    }
    const list = async (query: string) =>
      (await api.call('GET', `${w}/runs?connectionId=${prepared.connectionId}&${query}`)).body;
    const first = await list('limit=2&state=failed');
    expect(first.items.map(({ id }: RunView) => id)).toEqual(ids.slice(0, 2));
    const second = await list(`limit=2&before=${first.next}`);
    expect(second).toMatchObject({ items: [{ id: ids[2] }], next: null });
    expect(await list('state=succeeded')).toEqual({ items: [], next: null });
    expect((await api.call('DELETE', `${w}/connections/${prepared.connectionId}`)).status).toBe(204);
    expect(await show(ids[0]!)).toMatchObject({
      connectionName: expect.stringMatching(/^Bucket/),
      goals: [{ name: 'Import customers' }, {}],
    });
  });
});

describe('several instances', () => {
  it('handle each event once', async () => {
    const [second, third] = await Promise.all([api.startAnother(), api.startAnother()]);
    const runs = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const prepared = await prepare();
        return { prepared, run: await start(prepared) };
      }),
    );
    await Promise.all(
      runs.map(async ({ prepared, run }) => {
        for (let rows = 1; rows <= 20; rows += 1) {
          const progress = { phase: 'read', done: rows, unit: 'rows' } as const;
          await tell(run.id, prepared.importId, { kind: 'goal-progress', progress, counts: { rowsRead: rows } });
        }
        await tell(run.id, prepared.importId, { kind: 'goal-note', level: 'info', message: 'once' });
        await finish(run.id, prepared.importId, 'succeeded', { rowsRead: 20 });
      }),
    );
    for (const { prepared, run } of runs) {
      const now = await until(run.id, ({ goals }) => goals[1]!.state === 'queued');
      expect(now.goals[0]).toMatchObject({ counts: { rowsRead: 20 }, notes: [{ message: 'once' }] });
      expect(await unitsOf(run.id)).toHaveLength(2);
      const elsewhere = await request<RunView>(third.url, 'GET', `${w}/runs/${run.id}`, undefined, api.platformKey);
      expect(elsewhere.body.goals[1]!.state).toBe('queued');
      await finish(run.id, prepared.exportId, 'succeeded');
    }
    await second.stop();
    for (const { run } of runs) await until(run.id, ({ state }) => state === 'succeeded');
  });
});

it('goes on with what was told while no instance ran', async () => {
  const alone = await startApi('restart');
  try {
    const connectionId = (await alone.call('POST', `${w}/connections`, s3Connection())).body.id;
    const goalId = (await alone.call('POST', `${w}/connections/${connectionId}/goals`, importGoal())).body.id;
    const { id } = (await alone.call('POST', `${w}/connections/${connectionId}/runs`)).body;
    await alone.stopFirst();
    await writeRunEvent(
      alone.database,
      { runId: id, goalId },
      { kind: 'goal-finished', outcome: 'succeeded', counts: { rowsRead: 4 } },
    );
    const { url } = await alone.startAnother();
    const over = await waitFor(async () => {
      const { body } = await request<RunView>(url, 'GET', `${w}/runs/${id}`, undefined, alone.platformKey);
      return body.state === 'succeeded' ? body : undefined;
    });
    expect(over.goals[0]!.counts).toMatchObject({ rowsRead: 4 });
  } finally {
    await alone.close();
  }
});

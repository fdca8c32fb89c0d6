import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { removeExpiredWork } from '@millrace/job-queue';
import { waitFor } from '@millrace/testing';
import { explainProfile } from '../src/look-at-stream/explain-profile.js';
import { listDeadLetters, readReplays, removeOldDeadLetters, removeOldReplays } from '../src/storage/dead-letters.js';
import { readStreamState } from '../src/storage/stream-states.js';
import { FakeStream } from './fake-stream.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let running: RunningPublisher | undefined;
let stream: FakeStream;
let segment: string;

beforeEach(async () => {
  workspace = await StreamWorkspace.create('operate');
  segment = await workspace.segment('members');
  stream = new FakeStream();
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  await workspace.drop();
});

type Settings = Parameters<typeof startPublisher>[2];

async function activated(
  goal: Partial<Parameters<StreamWorkspace['snapshot']>[0]> = {},
  settings: Settings = {},
): Promise<string> {
  const goalId = await workspace.activate(workspace.snapshot({ segmentIds: [segment], ...goal }));
  running = await startPublisher(workspace.url, stream, settings);
  await waitFor(() => workspace.obeyed());
  // The backfill of nobody is over: what comes later comes from a change.
  if (settings?.backfill === undefined) await waitFor(() => workspace.quiet());
  return goalId;
}

const members = (count: number): Promise<readonly string[]> => workspace.members(segment, count);

const touched = { written: ['points'] } as const;
const order = { ...touched, changed: ['points'] } as const;

async function failed(count: number): Promise<void> {
  await waitFor(
    async () => (await workspace.deliveries()).filter((delivery) => delivery.state === 'failed').length === count,
  );
}

/** Whether the goal counts as late in the publisher's metrics; undefined: it has not looked yet. */
async function lateGauge(goalId: string): Promise<number | undefined> {
  const gauge = `millrace_stream_late{goal="${goalId}",service="stream-publisher"}`;
  const line = (await running?.metrics.registry.metrics())?.split('\n').find((text) => text.startsWith(gauge));
  return line === undefined ? undefined : Number(line.slice(gauge.length));
}

/** What config-api sees of the goal while no publisher answers. */
async function watched(
  goalId: string,
): Promise<{ readonly unsent: boolean; readonly deadLetters: number } | undefined> {
  const { rows } = await workspace.database.query<{ unsent: boolean; dead_letters: number }>(sql`
    SELECT oldest_unsent_at IS NOT NULL AS unsent, dead_letters FROM publisher.stream_watch WHERE goal_id = ${goalId}`);
  return rows[0] && { unsent: rows[0].unsent, deadLetters: rows[0].dead_letters };
}

async function command(body: Parameters<StreamWorkspace['command']>[0]): Promise<void> {
  await workspace.command(body);
  await waitFor(() => workspace.obeyed());
}

describe('a goal that is paused', () => {
  it('sends nothing meanwhile, and each changed profile once, as it is then, when it is resumed', async () => {
    const goalId = await activated();
    const ids = await members(5);
    await command({ kind: 'pause-stream', goalId });
    for (let round = 1; round <= 4; round += 1)
      for (const id of ids) await workspace.change(id, { ...order, properties: { points: round } });
    await waitFor(async () => {
      const { rows } = await workspace.database.query(sql`SELECT FROM profile.outbox LIMIT 1`);
      return rows.length === 0;
    });
    expect((await workspace.deliveries()).length).toBe(5);
    expect(stream.accepted).toEqual([]);
    expect(await readStreamState(workspace.database, goalId)).toMatchObject({
      state: 'paused',
      waiting: { changes: 5, backfill: 0, deadLetters: 0 },
    });
    await command({ kind: 'resume-stream', goalId });
    await waitFor(() => workspace.quiet());
    for (const id of ids) expect(stream.of(id).map((record) => record.json['points'])).toEqual([4]);
  });

  it('for longer than anything is kept still sends each changed profile once, its latest state', async () => {
    const goalId = await activated();
    const ids = await members(3);
    await command({ kind: 'pause-stream', goalId });
    const collected = async (): Promise<void> => {
      await waitFor(
        async () => (await workspace.database.query(sql`SELECT FROM profile.outbox LIMIT 1`)).rows.length === 0,
      );
    };
    for (const id of ids) await workspace.change(id, { ...order, properties: { points: 1 } });
    await collected();
    // Forty days go by, with a publisher that is started anew and removes what is old.
    await running?.stop();
    const ago = sql`interval '40 days'`;
    await workspace.database.query(sql`
      UPDATE publisher.delivery SET first_change_at = first_change_at - ${ago}, changed_at = changed_at - ${ago}, not_before = not_before - ${ago}`);
    await workspace.database.query(
      sql`UPDATE publisher.goal SET activated_at = activated_at - ${ago}, paused_at = paused_at - ${ago}`,
    );
    await workspace.database.query(
      sql`UPDATE work.command SET created_at = created_at - ${ago}, handled_at = handled_at - ${ago}`,
    );
    await workspace.database.query(sql`UPDATE work.goal_snapshot SET created_at = created_at - ${ago}`);
    while ((await removeExpiredWork(workspace.database)) > 0);
    running = await startPublisher(workspace.url, stream);
    await workspace.change(ids[0] ?? '', { ...order, properties: { points: 2 } });
    await collected();
    expect(await removeOldDeadLetters(workspace.database, 30)).toBe(0);
    expect(stream.accepted).toEqual([]);
    await command({ kind: 'resume-stream', goalId });
    await waitFor(() => workspace.quiet());
    expect(ids.map((id) => stream.of(id).map((record) => record.json['points']))).toEqual([[2], [1], [1]]);
  });

  it('stays paused when it is edited, and is not late', async () => {
    const goalId = await activated({ maxLagSeconds: 1 });
    const [id] = (await members(1)) as [string];
    await command({ kind: 'pause-stream', goalId });
    await workspace.activate(workspace.snapshot({ segmentIds: [segment], properties: [], maxLagSeconds: 1 }, goalId));
    await waitFor(() => workspace.obeyed());
    await workspace.change(id, { identities: true });
    await waitFor(async () => ((await readStreamState(workspace.database, goalId))?.lagSeconds ?? 0) > 1.5);
    expect(await readStreamState(workspace.database, goalId)).toMatchObject({ state: 'paused' });
    await waitFor(async () => (await lateGauge(goalId)) !== undefined);
    expect(await lateGauge(goalId)).toBe(0);
    expect(await watched(goalId)).toEqual({ unsent: false, deadLetters: 0 });
    expect(stream.accepted).toEqual([]);
  });
});

describe('dead letters', () => {
  it('are listed, the oldest first, page by page, by reason and by time', async () => {
    const goalId = await activated({ retries: 0 });
    const ids = await members(5);
    stream.judge = (record) =>
      record.profileId === ids[4]
        ? { code: 'InternalFailure', message: 'it broke' }
        : { code: 'KMSThrottlingException', message: 'busy' };
    for (const [index, id] of ids.entries()) {
      await workspace.change(id, touched);
      await failed(index + 1);
    }
    const list = async (query: Partial<Parameters<typeof listDeadLetters>[2]>) =>
      await listDeadLetters(workspace.database, goalId, { filter: {}, limit: 100, ...query });
    const all = await list({});
    expect(all.items.map((item) => item.profileId)).toEqual(ids);
    expect(all.next).toBeUndefined();
    expect(all.items[4]).toMatchObject({
      reason: 'InternalFailure',
      message: 'it broke',
      attempts: 1,
      causes: ['attribute'],
    });
    const first = await list({ limit: 3 });
    const second = await list({ limit: 3, after: first.next });
    expect([...first.items, ...second.items]).toEqual(all.items);
    expect(second.next).toBeUndefined();
    const broken = await list({ filter: { reason: 'InternalFailure' } });
    expect(broken.items.map((item) => item.profileId)).toEqual([ids[4]]);
    const { rows } = await workspace.database.query<{ at: Date }>(
      sql`SELECT failed_at + interval '1 microsecond' AS at FROM publisher.delivery WHERE profile_id = ${ids[2]}`,
    );
    const from = new Date((rows[0]?.at.getTime() ?? 0) + 1).toISOString();
    expect((await list({ filter: { from } })).items.every((item) => ids.indexOf(item.profileId) >= 2)).toBe(true);
    const early = await list({ filter: { to: all.items[0]?.failedAt ?? '' } });
    expect(early.items).toEqual([]);
  });

  it('are replayed by id, by reason or all of the goal, with the state of now', async () => {
    const goalId = await activated({ retries: 0 });
    const ids = (await members(3)) as [string, string, string];
    stream.judge = (record) => ({ code: record.profileId === ids[1] ? 'Other' : 'InternalFailure', message: 'no' });
    for (const id of ids) await workspace.change(id, { ...order, properties: { points: 1 } });
    await failed(3);
    stream.judge = () => undefined;
    await workspace.database.query(
      sql`UPDATE profile.profile SET properties = properties || '{"points": 2}', version = version + 1 WHERE id = ANY (${ids}::uuid[])`,
    );
    const replay = async (filter: object): Promise<void> => {
      await command({ kind: 'replay-dead-letters', goalId, filter });
      await waitFor(() => workspace.quiet());
    };
    await replay({ profileIds: [ids[0]] });
    expect(stream.accepted.map((record) => record.profileId)).toEqual([ids[0]]);
    expect(stream.accepted[0]?.json).toMatchObject({ points: 2, millrace: { reasons: ['attribute', 'replay'] } });
    await replay({ reason: 'Other' });
    expect(stream.accepted.map((record) => record.profileId)).toEqual([ids[0], ids[1]]);
    await replay({ from: new Date(Date.now() + 3_600_000).toISOString() });
    expect(stream.accepted).toHaveLength(2);
    await replay({});
    expect(stream.accepted.map((record) => record.profileId)).toEqual([...ids]);
    expect(await workspace.deliveries()).toEqual([]);
  });

  it('that are replayed say how many were taken up, and how many were sent or given up again', async () => {
    const goalId = await activated({ retries: 0 });
    const ids = (await members(5)) as [string, string, string, string, string];
    stream.judge = () => ({ code: 'InternalFailure', message: 'no' });
    for (const id of ids) await workspace.change(id, touched);
    await failed(5);
    expect(await watched(goalId)).toEqual({ unsent: false, deadLetters: 5 });
    const replay = async (filter: object): Promise<string> => {
      const replayId = randomUUID();
      await command({ kind: 'replay-dead-letters', goalId, filter, replayId });
      return replayId;
    };
    const progress = async (id: string) => (await readReplays(workspace.database, goalId, { id }))[0];

    await command({ kind: 'pause-stream', goalId });
    const first = await replay({ profileIds: ids.slice(0, 3) });
    expect(await progress(first)).toEqual({
      id: first,
      state: 'running',
      filter: { profileIds: ids.slice(0, 3) },
      takenAt: expect.any(String),
      deadLetters: 3,
      waiting: 3,
      sent: 0,
      failed: 0,
    });
    stream.judge = (record) => (record.profileId === ids[0] ? { code: 'InternalFailure', message: 'no' } : undefined);
    await command({ kind: 'resume-stream', goalId });
    const done = await waitFor(async () => {
      const state = await progress(first);
      return state?.state === 'done' && state;
    });
    expect(done).toMatchObject({ deadLetters: 3, waiting: 0, sent: 2, failed: 1 });

    // What changes afterwards is none of the replay's.
    await command({ kind: 'pause-stream', goalId });
    await workspace.change(ids[1], touched);
    await waitFor(async () => (await workspace.deliveries()).some((delivery) => delivery.profile_id === ids[1]));
    expect(await progress(first)).toEqual(done);

    const nothing = await replay({ reason: 'no such reason' });
    const rest = await replay({ from: '2020-01-01T00:00:00Z' });
    expect(await progress(nothing)).toMatchObject({ state: 'done', deadLetters: 0 });
    expect(await progress(rest)).toMatchObject({ state: 'running', deadLetters: 3, waiting: 3 });
    expect((await readReplays(workspace.database, goalId)).map(({ id }) => id)).toEqual([rest, nothing, first]);
    await removeOldReplays(workspace.database, 30);
    expect(await readReplays(workspace.database, goalId)).toHaveLength(3);
    await workspace.database.query(
      sql`UPDATE publisher.replay SET taken_at = now() - interval '31 days' WHERE id = ${first}`,
    );
    await removeOldReplays(workspace.database, 30);
    expect((await readReplays(workspace.database, goalId)).map(({ id }) => id)).toEqual([rest, nothing]);
  });

  it('of a goal that is deleted go with it', async () => {
    const goalId = await activated({ retries: 0 });
    const [id] = (await members(1)) as [string];
    stream.judge = () => ({ code: 'InternalFailure', message: 'no' });
    await workspace.change(id, touched);
    await failed(1);
    await command({ kind: 'pause-stream', goalId });
    await command({ kind: 'replay-dead-letters', goalId, filter: {} });
    await command({ kind: 'remove-stream', goalId });
    expect(await workspace.deliveries()).toEqual([]);
    for (const table of ['goal', 'backfill', 'mapped_segment', 'goal_total', 'told', 'replay', 'replayed']) {
      const { rowCount } = await workspace.database.query(sql`SELECT FROM ${sql.id('publisher', table)}`);
      expect({ table, rowCount }).toEqual({ table, rowCount: 0 });
    }
    expect((await workspace.database.query(sql`SELECT FROM profile.stream_target`)).rowCount).toBe(0);
  });

  it('are removed when they have been kept as long as they may', async () => {
    await activated({ retries: 0 });
    const [old, recent] = (await members(2)) as [string, string];
    stream.judge = () => ({ code: 'InternalFailure', message: 'no' });
    for (const id of [old, recent]) await workspace.change(id, touched);
    await failed(2);
    await workspace.database.query(
      sql`UPDATE publisher.delivery SET failed_at = now() - interval '31 days' WHERE profile_id = ${old}`,
    );
    expect(await removeOldDeadLetters(workspace.database, 30)).toBe(1);
    expect((await workspace.deliveries()).map((delivery) => delivery.profile_id)).toEqual([recent]);
  });
});

describe('a backfill', () => {
  it('that is cancelled sends no more, and what changes is sent all the same', async () => {
    await members(1);
    await workspace.database.query(sql`
      WITH made AS (
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT gen_random_uuid(), ${workspace.workspaceId}, 1, '{}', 1 FROM generate_series(1, 2000) RETURNING id
      )
      INSERT INTO profile.membership (profile_id, segment_id, status) SELECT id, ${segment}, 'realized' FROM made`);
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    stream.before = () => released;
    const goalId = await activated({}, { slots: 1, backfill: { members: 100, pendingPerGoal: 400 } });
    await waitFor(() => stream.attempts.length === 1);
    await waitFor(async () => (await workspace.deliveries()).length >= 400);
    const [live] = (await members(1)) as [string];
    await workspace.change(live, touched);
    const running = await readStreamState(workspace.database, goalId);
    expect(running?.backfills).toMatchObject([{ segmentId: segment, state: 'running' }]);
    expect(running?.backfills[0]?.remaining).toBeGreaterThan(1000);
    await command({ kind: 'cancel-backfill', goalId });
    release();
    await waitFor(() => workspace.quiet());
    expect(stream.of(live)).toHaveLength(1);
    expect(stream.accepted.length).toBeLessThan(600);
    expect((await readStreamState(workspace.database, goalId))?.backfills).toMatchObject([
      { state: 'cancelled', remaining: 0 },
    ]);
  });
});

describe('a goal that is switched off', () => {
  it('ends its backfills, and begins them anew when it is switched on', async () => {
    await workspace.database.query(sql`
      WITH made AS (
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT gen_random_uuid(), ${workspace.workspaceId}, 1, '{}', 1 FROM generate_series(1, 1000) RETURNING id
      )
      INSERT INTO profile.membership (profile_id, segment_id, status) SELECT id, ${segment}, 'realized' FROM made`);
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    stream.before = () => released;
    const goalId = await activated({}, { slots: 1, backfill: { members: 100, pendingPerGoal: 300 } });
    await waitFor(() => stream.attempts.length === 1);
    await command({ kind: 'deactivate-stream', goalId });
    release();
    await waitFor(() => workspace.quiet());
    expect(stream.accepted.length).toBeLessThan(1000);
    expect(await workspace.deliveries()).toEqual([]);
    expect(await readStreamState(workspace.database, goalId)).toMatchObject({
      state: 'inactive',
      backfills: [{ state: 'cancelled' }],
    });
    stream.accepted.length = 0;
    await workspace.activate(workspace.snapshot({ segmentIds: [segment] }, goalId));
    await waitFor(() => workspace.quiet());
    expect(new Set(stream.accepted.map((record) => record.profileId)).size).toBe(1000);
  });
});

describe('the state of a goal', () => {
  it('counts what was sent, and says that the oldest change is older than it may be', async () => {
    const goalId = await activated({ maxLagSeconds: 1, retries: 20 });
    const [id] = (await members(1)) as [string];
    let refusing = true;
    stream.judge = () => (refusing ? { code: 'InternalFailure', message: 'no' } : undefined);
    await workspace.change(id, touched);
    await waitFor(async () => (await lateGauge(goalId)) === 1);
    expect((await readStreamState(workspace.database, goalId))?.lagSeconds).toBeGreaterThan(1);
    expect(await watched(goalId)).toEqual({ unsent: true, deadLetters: 0 });
    refusing = false;
    const calm = await waitFor(async () => {
      const state = await readStreamState(workspace.database, goalId);
      return state?.totals.records === 1 ? state : undefined;
    });
    expect(calm).toMatchObject({ state: 'active', lagSeconds: 0, waiting: { changes: 0, deadLetters: 0 } });
    expect(calm.totals.bytes).toBeGreaterThan(100);
    expect(calm.totals.retries).toBeGreaterThan(0);
    expect(calm.lastSentAt).toBeDefined();
    await waitFor(async () => (await lateGauge(goalId)) === 0);
    expect(await watched(goalId)).toEqual({ unsent: false, deadLetters: 0 });
  });

  it('explains what becomes of a profile', async () => {
    const goalId = await activated({ retries: 0, envelope: false });
    const [inside] = (await members(1)) as [string];
    const outside = await workspace.profile();
    const explain = (id: string) => explainProfile(workspace.database, goalId, id);
    const sent = await explain(inside);
    expect(sent).toMatchObject({
      state: 'active',
      decision: 'send',
      memberships: [{ segmentId: segment, status: 'realized', mapped: true }],
      partitionKey: inside,
    });
    expect(JSON.parse(sent.record ?? '')).toEqual({
      segmentMembership: { ups: { [segment]: expect.anything() } },
      identityMap: {},
    });
    expect(sent.delivery).toBeUndefined();
    expect(await explain(outside)).toMatchObject({ decision: 'not-eligible' });
    expect(await explain(goalId)).toMatchObject({ decision: 'gone' });
    stream.judge = () => ({ code: 'InternalFailure', message: 'no' });
    await workspace.change(inside, touched);
    await failed(1);
    expect(await explain(inside)).toMatchObject({
      delivery: { state: 'failed', causes: ['attribute'], error: { code: 'InternalFailure' } },
    });
  });
});

import { sql } from '@millrace/database';
import { sendCommand } from '@millrace/job-queue';
import { waitFor } from '@millrace/testing';
import { forgetIncidents } from '../src/raise-alerts/queue-alerts.js';
import { kinesisConnection, startApi, w, type Api } from './api-fixture.js';
import { isSigned, startWebhookReceiver, type WebhookReceiver } from './receivers.js';

const secret = 'a-secret-nobody-else-knows';

let api: Api;
let hook: WebhookReceiver;
let segmentId: string;

// No publisher runs in any of this. What it would leave behind stands in a table in the place of its view.
beforeAll(async () => {
  api = await startApi('stream_alerts', {
    env: {
      MILLRACE_ALERT_HTTP: 'true',
      MILLRACE_ALERT_PRIVATE_ADDRESSES: 'true',
      MILLRACE_ALERT_WATCH_SECONDS: '0.1',
    },
  });
  const rule = { kind: 'all', rules: [] };
  segmentId = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule })).body.id as string;
});
afterAll(() => api?.close());
beforeEach(async () => {
  hook = await startWebhookReceiver();
});
afterEach(() => hook.close());

interface Prepared {
  readonly connectionId: string;
  readonly goalId: string;
}

let connections = 0;
async function prepare(goal: object = {}): Promise<Prepared> {
  const name = `Stream ${(connections += 1)}`;
  const connectionId = (await api.call('POST', `${w}/connections`, kinesisConnection({ name }))).body.id as string;
  await api.call('POST', `${w}/connections/${connectionId}/alerts`, {
    name: 'Operators',
    webhooks: [{ url: hook.url, secret }],
  });
  const body = {
    kind: 'stream',
    name: 'Changes',
    streamName: 's',
    segmentIds: [segmentId],
    maxLagSeconds: 60,
    ...goal,
  };
  const goalId = (await api.call('POST', `${w}/connections/${connectionId}/goals`, body)).body.id as string;
  return { connectionId, goalId };
}

const told = (): readonly string[] =>
  hook.posts.map(({ message }) => `${message.recovered ? 'recovered ' : ''}${message.event}`);
const tells = async (...expected: string[]): Promise<void> => {
  await waitFor(() => told().length >= expected.length);
  expect(told()).toEqual(expected);
};

/** The publisher carried the goal's commands out. */
async function obeyed(): Promise<void> {
  await api.database.query(sql`UPDATE work.command SET handled_at = now() WHERE handled_at IS NULL`);
}

async function outbox(ageSeconds: number): Promise<void> {
  await api.database.query(sql`
    INSERT INTO profile.outbox (workspace_id, profile_id, lane, version, occurred_at)
    SELECT id, uuidv7(), 1, 1, now() - ${ageSeconds}::float8 * interval '1 second' FROM profile.workspace WHERE name = 'acme'`);
}

const emptyOutbox = () => api.database.query(sql`DELETE FROM profile.outbox`);

async function watched(
  goalId: string,
  more: {
    readonly state?: string;
    readonly unsentSeconds?: number;
    readonly fault?: object;
    readonly deadLetters?: number;
  },
): Promise<void> {
  await api.database.query(sql`
    INSERT INTO publisher.stream_watch VALUES (${goalId}, ${more.state ?? 'active'},
      ${more.fault === undefined ? null : JSON.stringify(more.fault)}::jsonb,
      now() - ${more.unsentSeconds ?? null}::float8 * interval '1 second', ${more.deadLetters ?? 0})
    ON CONFLICT (goal_id) DO UPDATE SET state = excluded.state, fault = excluded.fault,
      oldest_unsent_at = excluded.oldest_unsent_at, dead_letters = excluded.dead_letters`);
}

const lateGoals = async (): Promise<readonly string[]> =>
  (await api.database.query<{ goal_id: string }>(sql`SELECT goal_id FROM config.late_stream`)).rows.map(
    (row) => row.goal_id,
  );

describe('where no publisher was ever set up', () => {
  it('a goal that was activated long ago and never taken up is late', async () => {
    const { goalId } = await prepare();
    await api.database.query(sql`UPDATE work.command SET created_at = now() - interval '61 seconds'`);
    await tells('delayed');
    expect(hook.posts[0]!.message).toMatchObject({
      goal: { id: goalId, name: 'Changes' },
      figures: { limitSeconds: 60 },
    });
    expect(isSigned(hook.posts[0]!, Buffer.from(secret))).toBe(true);
    expect(await lateGoals()).toEqual([goalId]);
    await obeyed();
    await tells('delayed', 'recovered delayed');
    expect(await lateGoals()).toEqual([]);
  });
});

describe('while no publisher runs', () => {
  beforeAll(async () => {
    await api.database.query(sql`CREATE SCHEMA publisher`);
    await api.database.query(sql`
      CREATE TABLE publisher.stream_watch
        (goal_id uuid PRIMARY KEY, state text, fault jsonb, oldest_unsent_at timestamptz, dead_letters integer)`);
  });
  beforeEach(async () => {
    await emptyOutbox();
    await api.database.query(sql`DELETE FROM publisher.stream_watch`);
  });

  it('a goal is late when a change is older than it allows, taken up or not, and told of once with its recovery', async () => {
    const { goalId } = await prepare();
    await obeyed();
    await watched(goalId, {});
    await outbox(61);
    await tells('delayed');
    expect(hook.posts[0]!.message.text).toContain('stream "Changes": the oldest unsent change is');
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    expect(metrics).toMatch(new RegExp(`millrace_stream_unsent_seconds\\{goal="${goalId}"[^}]*\\} 6\\d`));
    await emptyOutbox();
    await tells('delayed', 'recovered delayed');
    await watched(goalId, { unsentSeconds: 100 });
    await tells('delayed', 'recovered delayed', 'delayed');
    await watched(goalId, {});
    await tells('delayed', 'recovered delayed', 'delayed', 'recovered delayed');
    expect(lines(goalId, 'the oldest unsent change of a stream goal')).toHaveLength(2);
    expect(lines(goalId, 'no longer late')).toHaveLength(2);
  });

  it('several instances tell of it once', async () => {
    const { goalId } = await prepare();
    await obeyed();
    await watched(goalId, { unsentSeconds: 100 });
    const others = [await api.startAnother(), await api.startAnother()];
    await tells('delayed');
    await watched(goalId, {});
    await tells('delayed', 'recovered delayed');
    for (const other of others) await other.stop();
    const { rows } = await api.database.query<{ sent: number }>(
      sql`SELECT count(*)::int AS sent FROM config.alert_delivery WHERE message -> 'goal' ->> 'id' = ${goalId}`,
    );
    expect(rows).toEqual([{ sent: 2 }]);
    expect(lines(goalId, 'the oldest unsent change of a stream goal')).toHaveLength(1);
  });

  it('a goal that is paused, switched off or deleted is not late, whatever waits', async () => {
    const { goalId, connectionId } = await prepare();
    await obeyed();
    await watched(goalId, { state: 'paused', unsentSeconds: 1000 });
    const { goalId: probe } = await prepare();
    await watched(probe, { unsentSeconds: 1000 });
    await waitFor(async () => (await lateGoals()).includes(probe));
    expect(await lateGoals()).not.toContain(goalId);
    await watched(goalId, { state: 'active', unsentSeconds: 1000 });
    await waitFor(async () => (await lateGoals()).includes(goalId));
    await api.call('PATCH', `${w}/goals/${goalId}`, { active: false });
    await waitFor(async () => !(await lateGoals()).includes(goalId));
    await waitFor(() => hook.posts.some(({ message }) => message.recovered && message.goal?.id === goalId));
    expect(hook.posts.find(({ message }) => message.recovered)!.message.text).toContain('it was switched off');
    await watched(probe, { state: 'paused', unsentSeconds: 1000 });
    await waitFor(() => hook.posts.some(({ message }) => message.recovered && message.goal?.id === probe));
    expect(hook.posts.find(({ message }) => message.recovered && message.goal?.id === probe)!.message.text).toContain(
      'it is paused',
    );
    await api.call('PATCH', `${w}/goals/${probe}`, { active: false });
    await api.call('DELETE', `${w}/connections/${connectionId}`);
    await waitFor(async () => (await lateGoals()).length === 0);
  });

  it('a goal that cannot send, and one with dead letters, are told of and their recovery is', async () => {
    const { goalId } = await prepare();
    await obeyed();
    await watched(goalId, { fault: { code: 'access-denied', message: 'PutRecords is missing' }, deadLetters: 3 });
    await waitFor(() => told().length === 2);
    expect(told().toSorted()).toEqual(['dead-letters', 'failed']);
    expect(hook.posts.find(({ message }) => message.event === 'failed')!.message.error).toEqual({
      code: 'access-denied',
      message: 'PutRecords is missing',
    });
    await watched(goalId, {});
    await waitFor(() => told().length === 4);
    expect(told().slice(2).toSorted()).toEqual(['recovered dead-letters', 'recovered failed']);
  });

  it('a rule that is added while a goal is late is told of it', async () => {
    const { goalId, connectionId } = await prepare();
    await obeyed();
    await watched(goalId, { unsentSeconds: 100 });
    await tells('delayed');
    await api.call('POST', `${w}/connections/${connectionId}/alerts`, {
      name: 'Somebody else',
      webhooks: [{ url: `${hook.url}/else`, secret }],
    });
    await tells('delayed', 'delayed');
    expect(hook.posts.map(({ message }) => message.alert.name)).toEqual(['Operators', 'Somebody else']);
  });

  it('what is about a goal that is gone is forgotten, and nothing else', async () => {
    const gone = await prepare();
    const stays = await prepare();
    await obeyed();
    for (const { goalId } of [gone, stays]) await watched(goalId, { deadLetters: 1 });
    await waitFor(() => told().length === 2);
    await api.call('DELETE', `${w}/goals/${gone.goalId}`);
    await forgetIncidents(api.database);
    const { rows } = await api.database.query<{ subject: string }>(sql`
      SELECT subject FROM config.alert_incident WHERE subject = ANY(${[gone.goalId, stays.goalId]}::uuid[])`);
    expect(rows).toEqual([{ subject: stays.goalId }]);
  });

  it('a command that waits too long makes its goal late', async () => {
    const { goalId } = await prepare();
    await obeyed();
    await watched(goalId, {});
    await sendCommand(api.database, { kind: 'replay-dead-letters', goalId, filter: {} });
    await api.database.query(
      sql`UPDATE work.command SET created_at = now() - interval '2 minutes' WHERE handled_at IS NULL`,
    );
    await tells('delayed');
    await obeyed();
    await tells('delayed', 'recovered delayed');
  });
});

function lines(goalId: string, text: string): readonly string[] {
  return api
    .log()
    .split('\n')
    .filter((line) => line.includes(goalId) && line.includes(text));
}

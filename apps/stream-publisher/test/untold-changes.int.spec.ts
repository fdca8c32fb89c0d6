import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { deactivateStream } from '../src/activate-stream/activate-stream.js';
import { FakeStream, type SentRecord } from './fake-stream.js';
import { HeldSettling } from './held-settling.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let running: RunningPublisher | undefined;
let stream: FakeStream;
let segment: string;

/** So long that nobody is late only because the machine is busy. */
const patient = { patienceMs: 60_000, requestTimeoutMs: 60_000, leaseMs: 120_000 };

beforeEach(async () => {
  workspace = await StreamWorkspace.create('untold');
  segment = await workspace.segment('members');
  stream = new FakeStream();
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  await workspace.drop();
});

async function publishing(objectives: readonly string[] = []): Promise<string> {
  const goalId = await workspace.activate(workspace.snapshot({ segmentIds: [segment] }, undefined, objectives));
  running = await startPublisher(workspace.url, stream, patient);
  await waitFor(() => workspace.quiet());
  return goalId;
}

async function stop(): Promise<void> {
  await running?.stop();
  running = undefined;
}

async function exits(profileId: string): Promise<void> {
  await workspace.change(profileId, { membership: { [segment]: 'exited' }, segments: [segment] });
}

function statusIn(record: SentRecord | undefined): string | undefined {
  const { ups } = (record?.json['segmentMembership'] ?? { ups: {} }) as { ups: Record<string, { status: string }> };
  return ups[segment]?.status;
}

describe('a profile that leaves the segment and is erased, with more changes in between than are read at once', () => {
  it('is told to be gone, once', async () => {
    await publishing();
    const id = await workspace.profile({ membership: { [segment]: 'realized' }, identity: ['email', 'a@example.com'] });
    await workspace.change(id, { written: ['points'] });
    await waitFor(() => workspace.quiet());
    expect(statusIn(stream.of(id).at(-1))).toBe('realized');
    await stop();

    await exits(id);
    for (let change = 0; change < 20; change += 1) await workspace.change(id, { written: ['points'] });
    await workspace.erase(id);
    running = await startPublisher(workspace.url, stream, patient);
    await waitFor(() => workspace.quiet());
    const [, last, ...others] = stream.of(id);
    expect(others).toEqual([]);
    expect(statusIn(last)).toBe('exited');
    expect(last?.json).toMatchObject({
      identityMap: { email: [{ id: 'a@example.com' }] },
      millrace: { erased: true },
    });
  });
});

describe('changes nobody had read when their goal was switched off', () => {
  it('are told when it is switched on again', async () => {
    const goalId = await publishing();
    const [left, erased] = (await workspace.members(segment, 2)) as [string, string];
    for (const id of [left, erased]) await workspace.change(id, { written: ['points'] });
    await waitFor(() => workspace.quiet());
    await stop();

    await exits(left);
    await workspace.erase(erased);
    await workspace.database.transaction((tx) => deactivateStream(tx, goalId));
    running = await startPublisher(workspace.url, stream, patient);
    await waitFor(() => workspace.quiet());
    expect(stream.of(left)).toHaveLength(1);

    await workspace.activate(workspace.snapshot({ segmentIds: [segment] }, goalId));
    await running.wakeUps.wake('stream-lane', { version: 1 });
    await waitFor(() => workspace.quiet());
    expect(stream.of(left).map(statusIn)).toEqual(['realized', 'exited']);
    expect(stream.of(erased).at(-1)?.json).toMatchObject({ millrace: { erased: true } });
  });
});

describe('a publisher that hears of a lost lane only when it writes down a withdrawal', () => {
  it('leaves the stream known to know the profile: a successor may have told it again', async () => {
    const goalId = await publishing(['news']);
    const [id] = (await workspace.members(segment, 1)) as [string];
    await workspace.consent(id, 'news', true);
    await waitFor(() => workspace.quiet());
    expect(stream.of(id).map(statusIn)).toEqual(['realized']);
    const told = async (): Promise<number> => {
      const { rowCount } = await workspace.database.query(
        sql`SELECT FROM publisher.told WHERE goal_id = ${goalId} AND profile_id = ${id}`,
      );
      return rowCount;
    };
    expect(await told()).toBe(1);

    const held = await HeldSettling.begin(workspace.database);
    try {
      await workspace.consent(id, 'news', false);
      await waitFor(() => stream.of(id).length === 2);
      await waitFor(() => held.waiting());
      // As if its leases had run out while it was frozen.
      await workspace.database.query(
        sql`UPDATE work.lease SET token = token + 1, owner = 'successor', expires_at = now() + interval '1 day' WHERE resource LIKE 'lane:%'`,
      );
      await waitFor(() => running?.publisher.lanesHeld === 0, 120_000);
    } finally {
      await held.end();
    }
    await stop();
    expect(await workspace.quiet()).toBe(true);
    expect(statusIn(stream.of(id).at(-1))).toBe('exited');
    expect(await told()).toBe(1);
  }, 180_000);
});

describe('deliveries of a goal that is no more', () => {
  it('are removed, whoever wrote them while it was being deleted', async () => {
    const kept = await workspace.activate(workspace.snapshot({ segmentIds: [segment] }));
    const orphan = randomUUID();
    await workspace.database.query(sql`
      INSERT INTO publisher.delivery (goal_id, profile_id, lane, reasons, first_change_at, changed_at)
      VALUES (${orphan}, ${randomUUID()}, 1, 4, now(), now())`);
    running = await startPublisher(workspace.url, stream, patient);
    await waitFor(async () => (await workspace.deliveries()).every((delivery) => delivery.goal_id === kept));
  });
});

describe('a lane with far more changes than the others', () => {
  it('is read as fast as if they were spread over all lanes', async () => {
    await publishing();
    const [busy] = (await workspace.members(segment, 1)) as [string];
    await stop();
    await workspace.database.query(sql`
      INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written)
      SELECT profile.lane(${busy}::uuid), ${workspace.workspaceId}, ${busy}, 1, ${[...workspace.propertyIds.values()]}::int[]
      FROM generate_series(1, 2000)`);
    await workspace.database.query(sql`CREATE TABLE settled (at timestamptz DEFAULT now())`);
    await workspace.database.query(sql`
      CREATE FUNCTION note_settled() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO settled DEFAULT VALUES; RETURN NULL; END $$`);
    await workspace.database.query(sql`
      CREATE TRIGGER note_settled BEFORE DELETE ON profile.outbox FOR EACH STATEMENT EXECUTE FUNCTION note_settled()`);
    running = await startPublisher(workspace.url, stream, patient);
    await waitFor(() => workspace.quiet());
    const { rowCount } = await workspace.database.query(sql`SELECT FROM settled`);
    expect(rowCount).toBeLessThan(20);
  });
});

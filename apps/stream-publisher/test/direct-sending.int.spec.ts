import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { FakeStream } from './fake-stream.js';
import { HeldSettling } from './held-settling.js';
import { startPublisher, type quickSettings, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let running: RunningPublisher | undefined;
let stream: FakeStream;
let segment: string;

beforeEach(async () => {
  workspace = await StreamWorkspace.create('direct');
  segment = await workspace.segment('members');
  stream = new FakeStream();
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  await workspace.drop();
});

const touched = { written: ['points'] } as const;
/** So long that nobody is late only because the machine is busy. */
const patient = { patienceMs: 60_000, requestTimeoutMs: 60_000, leaseMs: 120_000 };

async function publishing(streams: readonly string[], settings: Partial<typeof quickSettings> = {}): Promise<string[]> {
  const goals: string[] = [];
  for (const streamName of streams)
    goals.push(await workspace.activate(workspace.snapshot({ segmentIds: [segment], streamName })));
  running = await startPublisher(workspace.url, stream, settings);
  await waitFor(() => workspace.quiet());
  return goals;
}

async function deliveriesEverMade(): Promise<number> {
  const { rows } = await workspace.database.query<{ made: number }>(
    sql`SELECT count(*)::int AS made FROM delivery_made`,
  );
  return rows[0]?.made ?? 0;
}

/** From now on. */
async function noteDeliveries(): Promise<void> {
  await workspace.database.query(sql`CREATE TABLE delivery_made (goal_id uuid, profile_id uuid)`);
  await workspace.database.query(sql`
    CREATE FUNCTION note_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO delivery_made VALUES (new.goal_id, new.profile_id); RETURN NULL; END $$`);
  await workspace.database.query(sql`
    CREATE TRIGGER note_delivery AFTER INSERT ON publisher.delivery FOR EACH ROW EXECUTE FUNCTION note_delivery()`);
}

const tenStreams = Array.from({ length: 10 }, (_, index) => `stream-${index}`);

describe('changes that ten goals care for', () => {
  it('are sent to each of them without a delivery being written', async () => {
    await publishing(tenStreams, patient);
    const ids = await workspace.members(segment, 5);
    await noteDeliveries();
    // Until every goal was looked at since it was activated, its changes are written down.
    await waitFor(async () => {
      await workspace.database.query(sql`TRUNCATE delivery_made`);
      const before = stream.accepted.length;
      await workspace.database.transaction(async (tx) => {
        for (const id of ids) await workspace.change(id, touched, tx);
      });
      await waitFor(() => workspace.quiet());
      expect(stream.accepted.length - before).toBeGreaterThanOrEqual(50);
      return (await deliveriesEverMade()) === 0;
    });
    const present = await workspace.states(ids);
    for (const id of ids)
      for (const name of tenStreams) {
        const versions = stream.of(id).filter((record) => record.stream === name);
        expect(versions.at(-1)?.version).toBe(present.get(id)?.version);
      }
  });
});

describe('one goal of ten that answers late', () => {
  it('owes its changes as deliveries, while the others get theirs, and catches up in order', async () => {
    const goals = await publishing(tenStreams, { requestTimeoutMs: 60_000, leaseMs: 120_000 });
    const [id] = (await workspace.members(segment, 1)) as [string];
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    stream.before = async ({ stream: name }) => {
      if (name === 'stream-3') await released;
    };
    const of = (name: string): readonly number[] =>
      stream
        .of(id)
        .filter((record) => record.stream === name)
        .map((record) => record.version);
    try {
      for (let change = 0; change < 4; change += 1) {
        await workspace.change(id, touched);
        const version = change + 2;
        await waitFor(() => tenStreams.every((name) => name === 'stream-3' || of(name).at(-1) === version));
      }
      await waitFor(async () => {
        const owed = await workspace.deliveries();
        return owed.length === 1 && owed[0]?.goal_id === goals[3];
      });
      expect(of('stream-3')).toEqual([]);
    } finally {
      release();
    }
    await waitFor(() => workspace.quiet());
    // What was under way when it hung, then all the rest at once.
    expect(of('stream-3')).toEqual([2, 5]);
    expect(await workspace.deliveries()).toEqual([]);
  });
});

describe('a change that comes while the one before is on its way', () => {
  it('is sent after it', async () => {
    await publishing(['stream'], patient);
    const [id] = (await workspace.members(segment, 1)) as [string];
    let changed = false;
    stream.before = async () => {
      if (changed) return;
      changed = true;
      await workspace.change(id, touched);
    };
    await workspace.change(id, touched);
    await waitFor(() => workspace.quiet());
    expect(stream.of(id).map((record) => record.version)).toEqual([2, 3]);
  });
});

describe('what the stream acknowledged', () => {
  it('is written down later when the connection to the database breaks, and not sent again', async () => {
    await publishing(['stream'], patient);
    const [id] = (await workspace.members(segment, 1)) as [string];
    const held = await HeldSettling.begin(workspace.database);
    try {
      await workspace.change(id, touched);
      await waitFor(() => stream.of(id).length === 1);
      await waitFor(() => held.waiting());
      await held.breakOff();
    } finally {
      await held.end();
    }
    await waitFor(() => workspace.quiet());
    expect(stream.of(id).map((record) => record.version)).toEqual([2]);
  });
});

describe('a paused goal among others', () => {
  it('owes changes and erasures of profiles that the others are sent at once', async () => {
    const [paused, active] = (await publishing(['paused', 'active'], patient)) as [string, string];
    await workspace.command({ kind: 'pause-stream', goalId: paused });
    await running?.wakeUps.wake('stream-lane', { version: 1 });
    await waitFor(() => workspace.obeyed());
    const [kept, erased] = (await workspace.members(segment, 2)) as [string, string];
    await workspace.change(kept, touched);
    await workspace.change(kept, { identities: true });
    await workspace.erase(erased);
    const owed = (goalId: string) => async (): Promise<boolean> => {
      const left = (await workspace.deliveries()).filter((delivery) => delivery.goal_id === goalId);
      return left.length === (goalId === paused ? 2 : 0);
    };
    await waitFor(owed(paused));
    await waitFor(owed(active));
    expect(stream.accepted.every((record) => record.stream === 'active')).toBe(true);
    await workspace.command({ kind: 'resume-stream', goalId: paused });
    await running?.wakeUps.wake('stream-lane', { version: 1 });
    await waitFor(() => workspace.quiet());
    const told = stream.accepted.filter((record) => record.stream === 'paused');
    expect(told).toHaveLength(2);
    expect(told.find((record) => record.profileId === kept)?.json).toMatchObject({
      millrace: { version: 3, reasons: ['identity', 'attribute'], erased: false },
    });
    expect(told.find((record) => record.profileId === erased)?.json).toMatchObject({
      segmentMembership: { ups: { [segment]: { status: 'exited' } } },
      millrace: { reasons: ['erasure'], erased: true },
    });
  });
});

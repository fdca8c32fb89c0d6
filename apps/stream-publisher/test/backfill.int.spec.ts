import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { FakeStream } from './fake-stream.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let stream: FakeStream;
let segment: string;
const started: RunningPublisher[] = [];

beforeEach(async () => {
  workspace = await StreamWorkspace.create('backfill');
  segment = await workspace.segment('members');
  stream = new FakeStream();
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((running) => running.stop()));
  await workspace.drop();
});

async function start(settings: Parameters<typeof startPublisher>[2] = {}): Promise<RunningPublisher> {
  const running = await startPublisher(workspace.url, stream, settings);
  started.push(running);
  return running;
}

/** Profiles that are members of the segment. */
async function addMembers(count: number, segmentId = segment): Promise<void> {
  await workspace.database.query(sql`
    WITH made AS (
      INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
      SELECT gen_random_uuid(), ${workspace.workspaceId}, 1, '{}', 1 FROM generate_series(1, ${count}) RETURNING id
    )
    INSERT INTO profile.membership (profile_id, segment_id, status) SELECT id, ${segmentId}, 'realized' FROM made`);
}

function sentProfiles(): ReadonlySet<string> {
  return new Set(stream.accepted.map((record) => record.profileId));
}

describe('activating a goal', () => {
  it('sends every member of its segments once, and nobody else', async () => {
    const other = await workspace.segment('others');
    await addMembers(1234);
    await addMembers(10, other);
    await workspace.activate(workspace.snapshot({ segmentIds: [segment] }));
    await start();
    await waitFor(() => workspace.quiet());
    expect(stream.accepted).toHaveLength(1234);
    expect(sentProfiles().size).toBe(1234);
    expect(stream.accepted[0]?.json).toMatchObject({ millrace: { reasons: ['backfill'] } });
    const { rows } = await workspace.database.query<{ state: string; members: string; queued: string }>(
      sql`SELECT state, members, queued FROM publisher.backfill`,
    );
    expect(rows).toEqual([{ state: 'done', members: '1234', queued: '1234' }]);
  });

  it('lets changes go first, and sends little of it beside them', async () => {
    await addMembers(800);
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    stream.before = () => released;
    await workspace.activate(workspace.snapshot({ segmentIds: [segment] }));
    await start({ slots: 1 });
    await waitFor(() => stream.attempts.length === 1);
    // Everything else waits behind the first request, the whole backfill among it.
    await waitFor(async () => (await workspace.deliveries()).length === 800);
    const id = await workspace.profile({ membership: { [segment]: 'realized' } });
    await workspace.change(id, { written: ['points'] });
    await waitFor(async () => (await workspace.deliveries()).length === 801);
    release();
    await waitFor(() => workspace.quiet());
    const [, beside] = stream.attempts.map((attempt) => attempt.records.map((record) => record.profileId));
    // The next change waits for this request: it is kept short.
    expect(beside?.[0]).toBe(id);
    expect(beside).toHaveLength(101);
    expect(sentProfiles().size).toBe(801);
  });

  it('goes on where it was after a publisher stopped in the middle', async () => {
    await addMembers(2000);
    await workspace.activate(workspace.snapshot({ segmentIds: [segment] }));
    const first = await start({ backfill: { members: 50, pendingPerGoal: 100 } });
    await waitFor(() => stream.accepted.length > 100);
    await first.stop();
    expect(stream.accepted.length).toBeLessThan(2000);
    await start();
    await waitFor(() => workspace.quiet());
    expect(stream.accepted).toHaveLength(2000);
    expect(sentProfiles().size).toBe(2000);
  });

  it('again, with a segment more, sends only that segment', async () => {
    const other = await workspace.segment('others');
    await addMembers(30);
    await addMembers(20, other);
    const before = workspace.snapshot({ segmentIds: [segment] });
    const goalId = await workspace.activate(before);
    await start();
    await waitFor(() => workspace.quiet());
    expect(stream.accepted).toHaveLength(30);
    await workspace.activate(workspace.snapshot({ segmentIds: [segment, other] }, goalId));
    await waitFor(() => workspace.quiet());
    expect(stream.accepted).toHaveLength(50);
  });

  it('after it was inactive, tells who left meanwhile as well', async () => {
    const stays = await workspace.profile({ membership: { [segment]: 'realized' } });
    const leaves = await workspace.profile({ membership: { [segment]: 'realized' } });
    const leftBefore = await workspace.profile({ membership: { [segment]: 'exited' } });
    const snapshot = workspace.snapshot({ segmentIds: [segment] });
    const goalId = await workspace.activate(snapshot);
    await start();
    await waitFor(() => workspace.quiet());
    await workspace.deactivate(goalId);
    await waitFor(() => workspace.quiet());
    await workspace.database.query(
      sql`UPDATE profile.membership SET status = 'exited', qualified_at = clock_timestamp() WHERE profile_id = ${leaves}`,
    );
    stream.accepted.length = 0;
    await workspace.activate(snapshot);
    await waitFor(() => workspace.quiet());
    expect(sentProfiles()).toEqual(new Set([stays, leaves]));
    expect(stream.of(leaves)[0]?.json).toMatchObject({
      segmentMembership: { ups: { [segment]: { status: 'exited' } } },
    });
    expect(stream.of(leftBefore)).toEqual([]);
  });

  it('of what the workspace does not have is refused, and later commands of the goal are carried out', async () => {
    const snapshot = workspace.snapshot({ segmentIds: [segment], properties: ['missing'] });
    const goalId = await workspace.activate(snapshot);
    await workspace.activate(workspace.snapshot({ segmentIds: [segment] }, goalId));
    await addMembers(1);
    await start();
    await waitFor(() => workspace.quiet());
    await waitFor(() => stream.accepted.length === 1);
  });
});

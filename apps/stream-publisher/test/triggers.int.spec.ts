import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { FakeStream } from './fake-stream.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace, type ProfileChange } from './stream-workspace.js';

let workspace: StreamWorkspace;
let running: RunningPublisher;
let stream: FakeStream;
let mapped: string;
let unmapped: string;
let goalId: string;
let suppressing: string;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('triggers');
  mapped = await workspace.segment('mapped');
  unmapped = await workspace.segment('unmapped');
  stream = new FakeStream();
  goalId = await workspace.activate(workspace.snapshot({ segmentIds: [mapped] }));
  suppressing = await workspace.activate(
    workspace.snapshot({ segmentIds: [mapped], suppressSameValue: true, streamName: 'suppressing' }),
  );
  running = await startPublisher(workspace.url, stream);
  await waitFor(() => workspace.quiet());
});

afterAll(async () => {
  await running.stop();
  await workspace.drop();
});

// Two profiles in the same order through the same lane loop: once the second one's record is there, the first one's would be too.
async function recordsOf(
  before: ProfileChange,
  change: ProfileChange,
): Promise<{ plain: number; suppressing: number }> {
  const id = await workspace.profile(before);
  await workspace.change(id, change);
  await waitFor(() => workspace.quiet());
  const records = stream.of(id);
  return {
    plain: records.filter((record) => record.stream === 'stream').length,
    suppressing: records.filter((record) => record.stream === 'suppressing').length,
  };
}

const both = { plain: 1, suppressing: 1 };
const none = { plain: 0, suppressing: 0 };

describe('a record is sent when', () => {
  const inside = (): ProfileChange => ({ membership: { [mapped]: 'realized' }, properties: { 'person.name': 'Ada' } });

  it('a profile enters a mapped segment', async () => {
    expect(await recordsOf({}, { membership: { [mapped]: 'realized' }, segments: [mapped] })).toEqual(both);
  });

  it('a profile leaves a mapped segment, saying so', async () => {
    const id = await workspace.profile(inside());
    await workspace.change(id, { membership: { [mapped]: 'exited' }, segments: [mapped] });
    await waitFor(() => workspace.quiet());
    expect(stream.of(id)[0]?.json).toMatchObject({ segmentMembership: { ups: { [mapped]: { status: 'exited' } } } });
  });

  it('an identity is added or removed', async () => {
    expect(await recordsOf(inside(), { identities: true, identity: ['email', 'added@example.com'] })).toEqual(both);
  });

  it('a mapped property changes', async () => {
    expect(await recordsOf(inside(), { properties: { points: 7 }, written: ['points'], changed: ['points'] })).toEqual(
      both,
    );
  });

  it('a mapped property is written over with itself, unless the goal suppresses that', async () => {
    expect(await recordsOf(inside(), { written: ['points'] })).toEqual({ plain: 1, suppressing: 0 });
  });

  it('several of these happen in one commit: once', async () => {
    const change = {
      properties: { points: 8 },
      written: ['points'],
      changed: ['points'],
      identities: true,
      membership: { [unmapped]: 'realized' },
      segments: [unmapped, mapped],
    } as const;
    expect(await recordsOf(inside(), change)).toEqual(both);
  });
});

describe('nothing is sent when', () => {
  const inside = (): ProfileChange => ({ membership: { [mapped]: 'realized' } });

  it('an unmapped segment changes', async () => {
    expect(await recordsOf(inside(), { membership: { [unmapped]: 'realized' }, segments: [unmapped] })).toEqual(none);
  });

  it('an unmapped property changes', async () => {
    expect(
      await recordsOf(inside(), { properties: { secret: 'x' }, written: ['secret'], changed: ['secret'] }),
    ).toEqual(none);
  });

  it('consent changes and the goal does not read consent', async () => {
    expect(await recordsOf(inside(), { consent: true })).toEqual(none);
  });

  it('the profile is in no mapped segment', async () => {
    expect(
      await recordsOf({}, { properties: { points: 1 }, written: ['points'], changed: ['points'], identities: true }),
    ).toEqual(none);
  });

  it('the profile left its mapped segment before', async () => {
    expect(
      await recordsOf(
        { membership: { [mapped]: 'exited' } },
        { properties: { points: 1 }, written: ['points'], changed: ['points'] },
      ),
    ).toEqual(none);
  });

  it('the transaction that wrote the change was rolled back', async () => {
    const id = await workspace.profile(inside());
    const undone = workspace.database.transaction(async (tx) => {
      await workspace.change(id, { properties: { points: 99 }, written: ['points'], changed: ['points'] }, tx);
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    const later = await workspace.profile(inside());
    await workspace.change(later, { written: ['points'] });
    await waitFor(() => stream.of(later).length > 0);
    expect(stream.of(id)).toEqual([]);
  });

  it('the profile is gone by the time its turn comes', async () => {
    const id = await workspace.profile(inside());
    await workspace.database.transaction(async (tx) => {
      await workspace.change(id, { written: ['points'] }, tx);
      await tx.query(sql`DELETE FROM profile.profile WHERE id = ${id}`);
    });
    await waitFor(() => workspace.quiet());
    expect(stream.of(id)).toEqual([]);
  });
});

describe('the record', () => {
  it('holds mapped attributes only, all memberships and all identities, numbers to the last digit', async () => {
    const id = await workspace.profile({
      membership: { [mapped]: 'realized', [unmapped]: 'exited' },
      properties: { 'person.name': 'Grace', secret: 'never' },
      identity: ['customerId', 'C-77'],
    });
    await workspace.database.query(
      sql`UPDATE profile.profile SET properties = properties || '{"points": 12345678901234567890.10}'::jsonb WHERE id = ${id}`,
    );
    await workspace.change(id, { identities: true, identity: ['email', 'grace@example.com'] });
    await waitFor(() => workspace.quiet());
    const [record] = stream.of(id);
    expect(record?.text).toContain('"points":12345678901234567890.10');
    expect(record?.text).not.toContain('never');
    expect(record?.json).toMatchObject({
      person: { name: 'Grace' },
      segmentMembership: { ups: { [mapped]: { status: 'realized' }, [unmapped]: { status: 'exited' } } },
      identityMap: { email: [{ id: 'grace@example.com' }], customerId: [{ id: 'C-77' }] },
      millrace: { profileId: id, version: 2, reasons: ['identity'], erased: false },
    });
    expect(record?.partitionKey).toBe(id);
  });
});

describe('a goal that is deactivated', () => {
  it('collects and sends nothing, while other goals go on', async () => {
    await workspace.deactivate(suppressing);
    await waitFor(async () => {
      const { rows } = await workspace.database.query<{ goal_id: string }>(
        sql`SELECT goal_id FROM profile.stream_target`,
      );
      return rows.length === 1 && rows[0]?.goal_id === goalId;
    });
    expect(await recordsOf({ membership: { [mapped]: 'realized' } }, { identities: true })).toEqual({
      plain: 1,
      suppressing: 0,
    });
  });
});

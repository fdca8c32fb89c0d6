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

beforeAll(async () => {
  workspace = await StreamWorkspace.create('erasure');
  mapped = await workspace.segment('mapped');
  unmapped = await workspace.segment('unmapped');
  stream = new FakeStream();
  const goal = { segmentIds: [mapped], partitionKey: { kind: 'identity', namespace: 'email' } } as const;
  await workspace.activate(workspace.snapshot({ ...goal, segmentIds: [mapped] }));
  running = await startPublisher(workspace.url, stream);
  await waitFor(() => workspace.quiet());
});

afterAll(async () => {
  await running?.stop();
  await workspace.drop();
});

async function erased(before: ProfileChange, ...changes: readonly ProfileChange[]): Promise<string> {
  const id = await workspace.profile(before);
  for (const change of changes) await workspace.change(id, change);
  expect(await workspace.erase(id)).toBe(true);
  await waitFor(() => workspace.quiet());
  return id;
}

describe('erasing a profile', () => {
  it('sends one record: out of every segment, no attributes, the identities it was known by', async () => {
    const id = await erased({
      membership: { [mapped]: 'realized', [unmapped]: 'realized' },
      properties: { 'person.name': 'Ada' },
      identity: ['email', 'gone@example.com'],
    });
    const [record, ...others] = stream.of(id);
    expect(others).toEqual([]);
    expect(record?.json).toEqual({
      segmentMembership: {
        ups: {
          [mapped]: { lastQualificationTime: expect.any(String), status: 'exited' },
          [unmapped]: { lastQualificationTime: expect.any(String), status: 'exited' },
        },
      },
      identityMap: { email: [{ id: 'gone@example.com' }] },
      millrace: {
        eventId: expect.any(String),
        profileId: id,
        version: expect.any(Number),
        reasons: ['erasure'],
        occurredAt: expect.any(String),
        erased: true,
      },
    });
    expect(record?.partitionKey).toBe('gone@example.com');
    const { rows } = await workspace.database.query<{ version: string }>(
      sql`SELECT version FROM profile.tombstone WHERE profile_id = ${id}`,
    );
    expect(record?.version).toBe(Number(rows[0]?.version));
  });

  it('replaces what was still to be sent', async () => {
    const inside = { membership: { [mapped]: 'realized' }, identity: ['email', 'late@example.com'] } as const;
    const id = await erased(inside, { written: ['points'] }, { written: ['points'] });
    const texts = stream.of(id).map((record) => (record.json['millrace'] as { erased: boolean }).erased);
    expect(texts.at(-1)).toBe(true);
    expect(texts.filter(Boolean)).toHaveLength(1);
  });

  it('says nothing of a profile that was in no mapped segment', async () => {
    const id = await erased({ membership: { [unmapped]: 'realized' }, identity: ['email', 'nobody@example.com'] });
    expect(stream.of(id)).toEqual([]);
  });

  it('leaves no identity behind once it is told', async () => {
    await erased({ membership: { [mapped]: 'realized' }, identity: ['email', 'trace@example.com'] });
    for (const query of [
      sql`SELECT FROM profile.outbox WHERE erased::text LIKE '%trace@%'`,
      sql`SELECT FROM publisher.delivery WHERE erased::text LIKE '%trace@%'`,
    ])
      expect((await workspace.database.query(query)).rowCount).toBe(0);
  });

  it('survives a stream that refuses: it is told when it is replayed', async () => {
    const id = await workspace.profile({
      membership: { [mapped]: 'realized' },
      identity: ['email', 'refused@example.com'],
    });
    stream.judge = (record) => (record.profileId === id ? { code: 'InternalFailure', message: 'no' } : undefined);
    await workspace.erase(id);
    const failed = await waitFor(async () =>
      (await workspace.deliveries()).find((delivery) => delivery.profile_id === id && delivery.state === 'failed'),
    );
    stream.judge = () => undefined;
    await workspace.command({ kind: 'replay-dead-letters', goalId: failed.goal_id, filter: { profileIds: [id] } });
    await waitFor(() => workspace.quiet());
    expect(stream.of(id)[0]?.json).toMatchObject({
      identityMap: { email: [{ id: 'refused@example.com' }] },
      millrace: { erased: true, reasons: ['replay', 'erasure'] },
    });
  });

  it('while the goal is inactive is told when it is active again, by the profile’s id alone', async () => {
    const goalId = await workspace.activate(workspace.snapshot({ segmentIds: [mapped], streamName: 'resting' }));
    await waitFor(() => workspace.quiet());
    const [missed, outside] = [
      await workspace.profile({ membership: { [mapped]: 'realized' }, identity: ['email', 'rest@example.com'] }),
      await workspace.profile({ membership: { [unmapped]: 'realized' } }),
    ];
    await workspace.deactivate(goalId);
    await waitFor(() => workspace.quiet());
    for (const id of [missed, outside]) expect(await workspace.erase(id)).toBe(true);
    await waitFor(() => workspace.quiet());
    const resting = (id: string) => stream.of(id).filter((record) => record.stream === 'resting');
    expect(resting(missed)).toEqual([]);
    await workspace.activate(workspace.snapshot({ segmentIds: [mapped], streamName: 'resting' }, goalId));
    await waitFor(() => workspace.quiet());
    expect(resting(missed).map((record) => record.json)).toMatchObject([
      {
        segmentMembership: { ups: { [mapped]: { status: 'exited' } } },
        identityMap: {},
        millrace: { erased: true, profileId: missed },
      },
    ]);
    expect(resting(outside)).toEqual([]);
  });
});

import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { readStreamState } from '../src/storage/stream-states.js';
import { FakeStream } from './fake-stream.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let running: RunningPublisher;
let stream: FakeStream;
let mapped: string;
let goalId: string;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('consent');
  mapped = await workspace.segment('mapped');
  stream = new FakeStream();
  goalId = await workspace.activate(workspace.snapshot({ segmentIds: [mapped] }, undefined, ['news', 'offers']));
  running = await startPublisher(workspace.url, stream);
  await waitFor(() => workspace.quiet());
});

afterAll(async () => {
  await running?.stop();
  await workspace.drop();
});

const touched = { properties: { points: 1 }, written: ['points'], changed: ['points'] } as const;

async function member(): Promise<string> {
  return await workspace.profile({
    membership: { [mapped]: 'realized' },
    properties: { 'person.name': 'Ada' },
    identity: ['email', `${Math.random()}@example.com`],
  });
}

async function consenting(objective = 'news'): Promise<string> {
  const id = await member();
  await workspace.consent(id, objective, true);
  await waitFor(() => workspace.quiet());
  return id;
}

describe('a goal whose connection is linked to objectives', () => {
  it('withholds whom it knows no consent of, and counts that', async () => {
    const id = await member();
    const before = (await readStreamState(workspace.database, goalId))?.totals.withheld ?? 0;
    await workspace.change(id, touched);
    await workspace.consent(id, 'something else', true);
    await waitFor(() => workspace.quiet());
    expect(stream.of(id)).toEqual([]);
    await waitFor(async () => ((await readStreamState(workspace.database, goalId))?.totals.withheld ?? 0) > before);
  });

  it('sends whoever consents to one of them', async () => {
    const id = await consenting('offers');
    expect(stream.of(id)[0]?.json).toMatchObject({ person: { name: 'Ada' }, millrace: { reasons: ['consent'] } });
  });

  it('takes a profile back with one record without attributes when consent is withdrawn, and is silent afterwards', async () => {
    const id = await consenting();
    await workspace.consent(id, 'news', false);
    await waitFor(() => workspace.quiet());
    await workspace.change(id, touched);
    await workspace.consent(id, 'offers', false);
    await waitFor(() => workspace.quiet());
    const [sent, back, ...others] = stream.of(id);
    expect(others).toEqual([]);
    expect(sent?.json).toHaveProperty('person');
    expect(back?.json).toMatchObject({
      segmentMembership: { ups: { [mapped]: { status: 'exited' } } },
      identityMap: { email: [{ id: expect.any(String) }] },
      millrace: { reasons: ['consent'], erased: false },
    });
    expect(Object.keys(back?.json ?? {}).sort()).toEqual(['identityMap', 'millrace', 'segmentMembership']);
  });

  it('sends the profile again when consent is given again', async () => {
    const id = await consenting();
    for (const granted of [false, true]) {
      await workspace.consent(id, 'news', granted);
      await waitFor(() => workspace.quiet());
    }
    expect(stream.of(id)).toHaveLength(3);
    expect(stream.of(id)[2]?.json).toMatchObject({
      person: { name: 'Ada' },
      segmentMembership: { ups: { [mapped]: { status: 'realized' } } },
    });
  });

  it('drops what was waiting when consent is withdrawn', async () => {
    const id = await consenting();
    await workspace.command({ kind: 'pause-stream', goalId });
    await waitFor(() => workspace.obeyed());
    await workspace.change(id, { ...touched, properties: { 'person.name': 'Never told' } });
    await workspace.consent(id, 'news', false);
    await workspace.command({ kind: 'resume-stream', goalId });
    await waitFor(() => workspace.quiet());
    expect(stream.of(id)).toHaveLength(2);
    expect(stream.of(id)[1]?.text).not.toContain('Never told');
    expect(stream.of(id)[1]?.json).toMatchObject({ segmentMembership: { ups: { [mapped]: { status: 'exited' } } } });
  });

  it('tells of the erasure of a profile it sent, and names nobody it did not', async () => {
    const [known, unknown] = [await consenting(), await member()];
    expect(await workspace.erase(known)).toBe(true);
    expect(await workspace.erase(unknown)).toBe(true);
    await waitFor(() => workspace.quiet());
    expect(stream.of(unknown)).toEqual([]);
    expect(stream.of(known)).toHaveLength(2);
    expect(stream.of(known)[1]?.json).toMatchObject({ millrace: { erased: true, reasons: ['erasure'] } });
    const { rowCount } = await workspace.database.query(
      sql`SELECT FROM publisher.told WHERE profile_id IN (${known}::uuid, ${unknown}::uuid)`,
    );
    expect(rowCount).toBe(0);
  });
});

describe('a goal that is linked to objectives later', () => {
  it('takes back whom it sent and who does not consent, and forgets it all when the link is taken away', async () => {
    const [yes, no] = [await member(), await member()];
    const segmentIds = [mapped];
    const later = await workspace.activate(workspace.snapshot({ segmentIds, streamName: 'later' }));
    const of = (id: string) => stream.of(id).filter((record) => record.stream === 'later');
    await waitFor(() => of(yes).length === 1 && of(no).length === 1);
    await workspace.database.query(
      sql`INSERT INTO profile.consent (profile_id, objective, granted) VALUES (${yes}, 'news', true)`,
    );
    await workspace.activate(workspace.snapshot({ segmentIds, streamName: 'later' }, later, ['news']));
    await waitFor(() => workspace.quiet());
    expect(of(yes).at(-1)?.json).toMatchObject({ segmentMembership: { ups: { [mapped]: { status: 'realized' } } } });
    expect(of(no)).toHaveLength(2);
    expect(of(no)[1]?.json).toMatchObject({ segmentMembership: { ups: { [mapped]: { status: 'exited' } } } });
    await workspace.activate(workspace.snapshot({ segmentIds, streamName: 'later' }, later));
    await waitFor(() => workspace.quiet());
    expect(of(no)[2]?.json).toHaveProperty('person');
    const { rowCount } = await workspace.database.query(sql`SELECT FROM publisher.told WHERE goal_id = ${later}`);
    expect(rowCount).toBe(0);
  });
});

import { sql } from '@millrace/database';
import { TransientError } from '@millrace/domain';
import { waitFor } from '@millrace/testing';
import { FakeStream } from './fake-stream.js';
import { startPublisher, type RunningPublisher } from './start-publisher.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;
let running: RunningPublisher | undefined;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('consent-faults');
});

afterEach(async () => {
  await running?.stop();
});

afterAll(async () => {
  await workspace.drop();
});

/** A small generator with a seed, so that a failure can be had again. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function disturb(stream: FakeStream, random: () => number): void {
  const fail = (share: number): void => {
    if (random() < share) throw new TransientError('event-stream-unavailable', 'no answer');
  };
  stream.judge = () => (random() < 0.2 ? { code: 'InternalFailure', message: 'no' } : undefined);
  stream.before = () => fail(0.1);
  // Accepted all the same.
  stream.after = () => fail(0.1);
}

type Said = 'nothing' | 'yes' | 'no' | 'erased';

describe.each([1, 2, 3])('whatever people say and streams fail (seed %i)', (seed) => {
  it('the last record shows who consents, takes back who does not, and nobody who never did is named', async () => {
    const random = randomFrom(seed);
    const stream = new FakeStream();
    // Of its own: when requests are made is not for the seed to say.
    disturb(stream, randomFrom(seed + 100));
    const segment = await workspace.segment(`members ${seed}`);
    const said = new Map<string, Said>();
    const ever = new Set<string>();
    for (let index = 0; index < 40; index += 1)
      said.set(await workspace.profile({ membership: { [segment]: 'realized' } }), 'nothing');
    const goalId = await workspace.activate(
      workspace.snapshot({ segmentIds: [segment], retries: 20 }, undefined, ['news']),
    );
    running = await startPublisher(workspace.url, stream);

    const ids = [...said.keys()];
    for (let step = 0; step < 300; step += 1) {
      const id = ids[Math.floor(random() * ids.length)] as string;
      const choice = random();
      if (step % 100 === 50) await workspace.command({ kind: 'pause-stream', goalId });
      if (step % 100 === 80) await workspace.command({ kind: 'resume-stream', goalId });
      if (said.get(id) === 'erased') continue;
      if (choice < 0.4) {
        const granted = random() < 0.5;
        await workspace.consent(id, 'news', granted);
        said.set(id, granted ? 'yes' : 'no');
        if (granted) ever.add(id);
      } else if (choice < 0.43) {
        await workspace.erase(id);
        said.set(id, 'erased');
      } else await workspace.change(id, { properties: { points: step }, written: ['points'], changed: ['points'] });
    }
    await waitFor(() => workspace.quiet(), 120_000);

    const present = await workspace.states(ids);
    for (const [id, now] of said) {
      const records = stream.of(id);
      const last = records.at(-1)?.json;
      const status = (last?.['segmentMembership'] as { ups: Record<string, { status: string }> } | undefined)?.ups[
        segment
      ]?.status;
      const takenBack = { status: last === undefined ? undefined : 'exited', points: undefined };
      expect({ id, status, points: last?.['points'] }).toEqual({
        id,
        ...(now === 'yes' ? { status: 'realized', points: present.get(id)?.points } : takenBack),
      });
      expect(ever.has(id) || records.length === 0).toBe(true);
      const { erased } = (last?.['millrace'] ?? { erased: false }) as { erased: boolean };
      // Whoever consented no more when they were erased had been taken back before, and is not named again.
      expect(!erased || now === 'erased').toBe(true);
      const versions = records.map((record) => record.version);
      expect(versions).toEqual([...versions].sort((a, b) => a - b));
    }
    const { rowCount } = await workspace.database.query(sql`
      SELECT FROM publisher.told WHERE goal_id = ${goalId}
        AND profile_id <> ALL (${ids.filter((id) => said.get(id) === 'yes')}::uuid[])`);
    expect(rowCount).toBe(0);
    await workspace.command({ kind: 'remove-stream', goalId });
    await waitFor(() => workspace.obeyed());
  }, 180_000);
});

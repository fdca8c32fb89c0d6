import { sql } from '@millrace/database';
import { createLogger, createMetrics } from '@millrace/service-kit';
import { handleCommands } from '../src/activate-stream/handle-commands.js';
import { buildRecords } from '../src/publish-changes/build-records.js';
import { GoalRegistry } from '../src/publish-changes/goal-registry.js';
import { PublisherEvents } from '../src/publish-changes/publisher.events.js';
import { readBatches } from '../src/publish-changes/read-batches.js';
import type { DueDelivery } from '../src/storage/deliveries.js';
import { FakeStream } from './fake-stream.js';
import { StreamWorkspace } from './stream-workspace.js';

let workspace: StreamWorkspace;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('fresh-catalogue');
});

afterAll(async () => {
  await workspace.drop();
});

async function recordOf(registry: GoalRegistry, profileId: string): Promise<Record<string, unknown>> {
  const [goal] = registry.goals();
  if (goal === undefined) throw new Error('no goal is active');
  const delivery: DueDelivery = {
    goalId: goal.goalId,
    profileId,
    lane: 0,
    seq: '2',
    reasons: 2,
    segments: [],
    attempts: 0,
    changedAtMs: 0,
    waitedMs: 0,
    dueSinceMs: 0,
    erased: null,
    place: undefined,
    backfill: false,
  };
  const [read] = await readBatches(workspace.database, [{ goal, due: [delivery] }]);
  if (read === undefined) throw new Error('nothing was read');
  const { records } = buildRecords(goal, read.batch.due, read.reading.states, read.reading.told);
  return JSON.parse(records[0]?.data.toString() ?? '{}') as Record<string, unknown>;
}

describe('a record of a profile with an identity and a segment made since the goals were last looked at', () => {
  it('has both, and leaves out a segment that is gone', async () => {
    const segment = await workspace.segment('members');
    await workspace.activate(workspace.snapshot({ segmentIds: [segment], includeSegmentNames: true }));
    const events = new PublisherEvents(
      createLogger({ service: 'stream-publisher', level: 'fatal' }),
      createMetrics({ service: 'stream-publisher' }),
    );
    await handleCommands(workspace.database, events);
    const registry = new GoalRegistry(workspace.database, () => new FakeStream(), events);
    await registry.refresh();

    await workspace.database.query(sql`
      INSERT INTO profile.identity_namespace (workspace_id, code, kind, normalisation)
      VALUES (${workspace.workspaceId}, 'badge', 'custom', '[]')`);
    const later = await workspace.segment('later');
    const gone = '019a0000-0000-7000-8000-00000000dead';
    const id = await workspace.profile({
      membership: { [segment]: 'realized', [later]: 'realized', [gone]: 'exited' },
      identity: ['badge', '4711'],
    });
    const record = await recordOf(registry, id);
    expect(record['identityMap']).toEqual({ badge: [{ id: '4711' }] });
    const { ups } = record['segmentMembership'] as { ups: Record<string, { name: string }> };
    expect(Object.keys(ups).sort()).toEqual([segment, later].sort());
    expect(ups[later]?.name).toBe('later');
    registry.close();
  });
});

import { sql } from '@millrace/database';
import type { ServiceName } from '@millrace/dev-stack';
import { goalSnapshot, type GoalSnapshot } from '@millrace/domain';
import { saveGoalSnapshot, sendCommand } from '@millrace/job-queue';
import { loadCatalogue } from '@millrace/profile-store';
import { emptyStore, sealedEndpoint, startBenchStack, type BenchStack } from './bench-stack.js';
import { peopleColumns, peopleWorkspace } from './people-file.js';
import { seedProfiles } from './seed-profiles.js';
import { startSink, type Sink } from './sink-process.js';

const connectionId = '00000000-0000-4000-8000-00000000000d';
/** Brings a record to about 1 KB. */
const padding = 'x'.repeat(440);

/** A seeded store, a publisher, and a sink in a process of its own that acknowledges everything. */
export interface StreamSetting {
  readonly bench: BenchStack;
  readonly sink: Sink;
  readonly workspaceId: number;
  readonly segmentId: string;
  readonly scoreId: number;
  readonly profileIds: readonly string[];
}

interface SettingOptions {
  readonly services?: readonly ServiceName[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Does `work` in a new setting of `rows` profiles; no goal is active yet. */
export async function withStreamSetting<T>(
  rows: number,
  say: (line: string) => void,
  work: (setting: StreamSetting) => Promise<T>,
  { services = ['stream-publisher'], env = {} }: SettingOptions = {},
): Promise<T> {
  const sink = await startSink();
  try {
    const bench = await startBenchStack(services, say, env);
    try {
      return await work(await seed(bench, sink, rows, say));
    } finally {
      await bench.stop();
    }
  } finally {
    sink.stop();
  }
}

async function seed(bench: BenchStack, sink: Sink, rows: number, say: (line: string) => void): Promise<StreamSetting> {
  const workspace = await peopleWorkspace(bench.database);
  await emptyStore(bench.database);
  await bench.database.query(sql`TRUNCATE publisher.delivery, publisher.backfill, publisher.goal CASCADE`);
  await bench.database.query(sql`DELETE FROM profile.stream_target`);
  say(`seeding ${rows} profiles`);
  const segmentId = await seedProfiles(bench.database, workspace, rows);
  await bench.database.query(sql`
    UPDATE profile.profile SET properties = properties || jsonb_build_object('address.street', ${padding}::text)`);
  await bench.database.query(sql`VACUUM (ANALYZE) profile.profile`);
  const catalogue = await loadCatalogue(bench.database, workspace.id);
  const ids = await bench.database.query<{ id: string }>(sql`SELECT id FROM profile.profile`);
  return {
    bench,
    sink,
    workspaceId: workspace.id,
    segmentId,
    scoreId: catalogue.properties.get('score')!.id,
    profileIds: ids.rows.map((row) => row.id),
  };
}

export function goalIdOf(index: number): string {
  return `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
}

/** No two goals alike: each but the first leaves out another property, and every second one tells the segments' names. */
function snapshotOf({ bench, sink, workspaceId, segmentId }: StreamSetting, index: number): GoalSnapshot {
  const properties = peopleColumns.map(([, property]) => property);
  const leftOut = properties.filter((name) => name !== 'score' && name !== 'address.street')[index - 1];
  return goalSnapshot.parse({
    version: 1,
    workspaceId,
    connectionId,
    goalId: goalIdOf(index),
    endpoint: sealedEndpoint(bench, 'stream-publisher', sink.url, { workspaceId, connectionId }),
    goal: {
      kind: 'stream',
      name: `bench ${index}`,
      streamName: 'bench',
      segmentIds: [segmentId],
      properties: properties.filter((name) => name !== leftOut),
      includeSegmentNames: index % 2 === 1,
    },
  });
}

/** Activates so many goals, and resolves when their backfills have arrived; they warm both sides up. */
export async function activateGoals(setting: StreamSetting, goals: number): Promise<void> {
  const { sink, profileIds } = setting;
  for (let index = 0; index < goals; index += 1) {
    await sink.forget();
    await activateGoal(setting, index);
    await sink.until(profileIds.length);
  }
}

export async function activateGoal(setting: StreamSetting, index: number): Promise<void> {
  await setting.bench.database.transaction(async (tx) => {
    const { snapshotId } = await saveGoalSnapshot(tx, snapshotOf(setting, index));
    await sendCommand(tx, { kind: 'activate-stream', goalId: goalIdOf(index), snapshotId });
  });
}

/** Lets only the first `goals` collect and send; resolves when the publisher has heard of it. */
export async function chooseGoals({ bench }: StreamSetting, goals: number): Promise<void> {
  await bench.database.query(
    sql`UPDATE publisher.goal SET state = CASE WHEN goal_id < ${goalIdOf(goals)}::uuid THEN 'active' ELSE 'inactive' END`,
  );
  // It looks every second.
  await new Promise((resolve) => setTimeout(resolve, 2000));
}

/** Waits until the publisher owes nothing, then lets PostgreSQL write out what it holds. */
export async function settle({ database }: BenchStack): Promise<void> {
  for (;;) {
    const { rows } = await database.query<{ idle: boolean }>(
      sql`SELECT NOT EXISTS (SELECT FROM profile.outbox) AND NOT EXISTS (SELECT FROM publisher.delivery) AS idle`,
    );
    if (rows[0]?.idle) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await database.query(sql`VACUUM profile.outbox, publisher.delivery`);
  await database.query(sql`CHECKPOINT`);
}

/** One commit that changes every profile. */
export async function changeAll({ bench, workspaceId, scoreId }: StreamSetting): Promise<void> {
  await bench.database.query(sql`
    INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed)
    SELECT profile.lane(id), ${workspaceId}::int, id, version, ${[scoreId]}::int[], ${[scoreId]}::int[] FROM profile.profile`);
}

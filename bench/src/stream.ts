import { Database, sql } from '@millrace/database';
import { createKinesisEventStream, type EventStream } from '@millrace/event-stream';
import { goalSnapshot, type GoalSnapshot } from '@millrace/domain';
import { saveGoalSnapshot, sendCommand } from '@millrace/job-queue';
import { loadCatalogue } from '@millrace/profile-store';
import { alternate, round, type Bench, type BenchOptions, type Sample } from './bench.js';
import { emptyStore, peakRssMiB, sealedEndpoint, startBenchStack, type BenchStack } from './bench-stack.js';
import { peopleColumns, peopleWorkspace } from './people-file.js';
import { seedProfiles } from './seed-profiles.js';
import { startSink, type Sink } from './sink-process.js';

const connectionId = '00000000-0000-4000-8000-00000000000d';
const goalId = '00000000-0000-4000-8000-00000000000f';
/** The publisher's slots (its default), and so the loops of the floor. */
const concurrency = 4;
const recordsPerPut = 500;
const steadyPerSecond = 2000;
const steadySeconds = 20;
const commitEveryMs = 10;
/** Brings a record to about 1 KB. */
const padding = 'x'.repeat(440);

interface StreamBench {
  readonly bench: BenchStack;
  readonly sink: Sink;
  readonly workspaceId: number;
  readonly segmentId: string;
  readonly scoreId: number;
  readonly profileIds: readonly string[];
}

/** N changed profiles to an acknowledging sink in another process, then the delay of a steady 2,000 changes a second. */
export const stream: Bench = {
  about: 'changed profiles to an acknowledging sink, and the delay at 2,000 changes a second',
  async run(options) {
    const { rows, say } = options;
    const sink = await startSink();
    const bench = await startBenchStack(['stream-publisher'], say);
    try {
      const workspace = await peopleWorkspace(bench.database);
      await emptyStore(bench.database);
      await bench.database.query(sql`TRUNCATE publisher.delivery, publisher.backfill, publisher.goal CASCADE`);
      say(`seeding ${rows} profiles`);
      const segmentId = await seedProfiles(bench.database, workspace, rows);
      await bench.database.query(sql`
        UPDATE profile.profile SET properties = properties || jsonb_build_object('address.street', ${padding}::text)`);
      await bench.database.query(sql`VACUUM (ANALYZE) profile.profile`);
      const catalogue = await loadCatalogue(bench.database, workspace.id);
      const ids = await bench.database.query<{ id: string }>(sql`SELECT id FROM profile.profile`);
      const setting: StreamBench = {
        bench,
        sink,
        workspaceId: workspace.id,
        segmentId,
        scoreId: catalogue.properties.get('score')!.id,
        profileIds: ids.rows.map((row) => row.id),
      };
      say('activating the goal; its backfill warms both sides up');
      await activate(setting);
      await sink.until(rows);
      const result = await alternate(
        'stream',
        options,
        () => publishAll(setting),
        () => floor(setting),
      );
      const delays = await steadyDelays(setting, options);
      return {
        ...result,
        recordsPerSecond: result.rowsPerSecond,
        bytesPerRecord: await bytesPerRecord(sink),
        ...delays,
      };
    } finally {
      sink.stop();
      await bench.stop();
    }
  },
};

function snapshotOf({ bench, sink, workspaceId, segmentId }: StreamBench): GoalSnapshot {
  return goalSnapshot.parse({
    version: 1,
    workspaceId,
    connectionId,
    goalId,
    endpoint: sealedEndpoint(bench, 'stream-publisher', sink.url, { workspaceId, connectionId }),
    goal: {
      kind: 'stream',
      name: 'bench',
      streamName: 'bench',
      segmentIds: [segmentId],
      properties: peopleColumns.map(([, property]) => property),
    },
  });
}

async function activate(setting: StreamBench): Promise<void> {
  await setting.bench.database.transaction(async (tx) => {
    const { snapshotId } = await saveGoalSnapshot(tx, snapshotOf(setting));
    await sendCommand(tx, { kind: 'activate-stream', goalId, snapshotId });
  });
}

/** One commit that changes every profile, until the sink has acknowledged a record of each. */
async function publishAll({ bench, sink, workspaceId, scoreId, profileIds }: StreamBench): Promise<Sample> {
  await settle(bench);
  await sink.forget();
  await bench.database.query(sql`
    INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed)
    SELECT profile.lane(id), ${workspaceId}::int, id, version, ${[scoreId]}::int[], ${[scoreId]}::int[] FROM profile.profile`);
  const startedAt = performance.now();
  await sink.until(profileIds.length);
  return {
    seconds: (performance.now() - startedAt) / 1000,
    peakRssMiB: peakRssMiB(bench.services.pid('stream-publisher')),
  };
}

/**
 * The floor: as many loops as the publisher has slots, each of which takes queued keys, reads every profile by its key, builds its record,
 * sends 500 records a request and deletes the queue rows. No leases, no goals, no retries, no order.
 */
async function floor({ bench, sink, profileIds, segmentId }: StreamBench): Promise<Sample> {
  const database = new Database({
    url: bench.stack.urls.database,
    applicationName: 'millrace-bench-floor',
    maxConnections: concurrency,
  });
  const events = createKinesisEventStream({
    region: 'us-east-1',
    endpoint: sink.url,
    credentials: { kind: 'access-key', ...bench.stack.credentials },
  });
  try {
    await settle(bench);
    await database.query(sql`DROP TABLE IF EXISTS bench_queue`);
    await database.query(
      sql`CREATE TABLE bench_queue AS SELECT id, (row_number() OVER ())::int AS position FROM profile.profile`,
    );
    await database.query(sql`ALTER TABLE bench_queue ADD PRIMARY KEY (position)`);
    await sink.forget();
    const startedAt = performance.now();
    let next = 1;
    const loop = async (): Promise<void> => {
      while (next <= profileIds.length) {
        const from = next;
        next += recordsPerPut;
        await publishBatch(database, events, from, segmentId);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, loop));
    return { seconds: (performance.now() - startedAt) / 1000 };
  } finally {
    await database.query(sql`DROP TABLE IF EXISTS bench_queue`);
    events.close();
    await database.end();
  }
}

async function publishBatch(database: Database, events: EventStream, from: number, segmentId: string): Promise<void> {
  const queued = await database.query<{ id: string }>(
    sql`SELECT id FROM bench_queue WHERE position >= ${from} AND position < ${from + recordsPerPut}`,
  );
  const records: { data: Buffer; partitionKey: string }[] = [];
  for (const { id } of queued.rows) {
    const { rows } = await database.query<{
      properties: string;
      qualified_at: Date;
      status: string;
      value: string;
    }>(sql`
      SELECT p.properties, m.qualified_at, m.status, i.value FROM profile.profile p
      JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${segmentId}::uuid
      JOIN profile.identity i ON i.profile_id = p.id WHERE p.id = ${id}::uuid`);
    const row = rows[0]!;
    const record = {
      ...(JSON.parse(row.properties) as object),
      segmentMembership: {
        ups: { [segmentId]: { lastQualificationTime: row.qualified_at.toISOString(), status: row.status } },
      },
      identityMap: { email: [{ id: row.value }] },
    };
    records.push({ data: Buffer.from(JSON.stringify(record)), partitionKey: id });
  }
  await events.put('bench', records, { timeoutMs: 10_000 });
  await database.query(sql`DELETE FROM bench_queue WHERE position >= ${from} AND position < ${from + recordsPerPut}`);
}

/** Waits until the publisher owes nothing, then lets PostgreSQL write out what it holds. */
async function settle({ database }: BenchStack): Promise<void> {
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

/** Milliseconds from COMMIT's return at the writer to the acknowledgement, at a steady rate, each change on a profile of its own. */
async function steadyDelays(
  { bench, sink, workspaceId, scoreId, profileIds }: StreamBench,
  { say }: BenchOptions,
): Promise<Record<string, number>> {
  await settle(bench);
  await sink.forget();
  const perCommit = (steadyPerSecond * commitEveryMs) / 1000;
  const commits = Math.min((steadySeconds * 1000) / commitEveryMs, Math.floor(profileIds.length / perCommit));
  say(`${commits * perCommit} changes at ${steadyPerSecond} a second`);
  const committedAt = new Map<number, number>();
  const startedAt = performance.now();
  const pending: Promise<void>[] = [];
  for (let commit = 0; commit < commits; commit += 1) {
    const dueAt = startedAt + commit * commitEveryMs;
    const restMs = dueAt - performance.now();
    if (restMs > 1) await new Promise((resolve) => setTimeout(resolve, restMs));
    pending.push(
      changeSome(bench.database, workspaceId, scoreId, profileIds, commit * perCommit, perCommit, committedAt),
    );
  }
  await Promise.all(pending);
  const writtenPerSecond = Math.round((commits * perCommit * 1000) / (performance.now() - startedAt));
  await sink.until(commits * perCommit);
  const { arrivals } = await sink.report(true);
  const delays = arrivals.flatMap(([change, at]) => {
    const committed = committedAt.get(change);
    return committed === undefined ? [] : [Math.max(0, at - committed)];
  });
  if (delays.length < commits * perCommit)
    throw new Error(`only ${delays.length} of ${commits * perCommit} changes arrived`);
  delays.sort((a, b) => a - b);
  const percentile = (share: number): number =>
    round(delays[Math.min(delays.length - 1, Math.floor(share * delays.length))]!, 1);
  return {
    changesPerSecond: writtenPerSecond,
    p50Ms: percentile(0.5),
    p95Ms: percentile(0.95),
    p99Ms: percentile(0.99),
  };
}

const firstChange = 1_000_000;

async function changeSome(
  database: Database,
  workspaceId: number,
  scoreId: number,
  profileIds: readonly string[],
  from: number,
  count: number,
  committedAt: Map<number, number>,
): Promise<void> {
  const ids = profileIds.slice(from, from + count);
  const changes = ids.map((_, index) => firstChange + from + index);
  await database.query(sql`
    WITH changed AS (
      UPDATE profile.profile p SET properties = p.properties || jsonb_build_object('score', c.score), version = p.version + 1, changed_xid = pg_current_xact_id()
      FROM unnest(${ids}::uuid[], ${changes}::int[]) AS c (id, score) WHERE p.id = c.id RETURNING p.id, p.version
    )
    INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed)
    SELECT profile.lane(id), ${workspaceId}::int, id, version, ${[scoreId]}::int[], ${[scoreId]}::int[] FROM changed`);
  const now = performance.timeOrigin + performance.now();
  for (const change of changes) committedAt.set(change, now);
}

async function bytesPerRecord(sink: Sink): Promise<number> {
  const { records, bytes } = await sink.report(false);
  return records === 0 ? 0 : Math.round(bytes / records);
}

import { Database, sql } from '@millrace/database';
import { createKinesisEventStream, type EventStream } from '@millrace/event-stream';
import { alternate, type Bench, type Sample } from './bench.js';
import { peakRssMiB } from './bench-stack.js';
import { steadyDelays } from './stream-delays.js';
import { streamGoals } from './stream-goals.js';
import { activateGoals, changeAll, settle, withStreamSetting, type StreamSetting } from './stream-setting.js';
import type { Sink } from './sink-process.js';

/** The publisher's slots (its default), and so the loops of the floor. */
const concurrency = 4;
const recordsPerPut = 500;

/** N changed profiles to an acknowledging sink in another process, then the delay of a steady 2,000 changes a second. */
export const stream: Bench = {
  about:
    'changed profiles to an acknowledging sink, and the delay at 2,000 changes a second; --goals: against one goal',
  async run(options) {
    const { rows, say } = options;
    if (options.goals > 1) return streamGoals(options);
    return withStreamSetting(rows, say, async (setting) => {
      say('activating the goal; its backfill warms both sides up');
      await activateGoals(setting, 1);
      const result = await alternate(
        'stream',
        options,
        () => publishAll(setting),
        () => floor(setting),
      );
      say('a steady 2,000 changes a second');
      await settle(setting.bench);
      await setting.sink.forget();
      const delays = await steadyDelays(setting, { perSecond: 2000, goOn: (elapsedMs) => elapsedMs < 20_000 });
      return {
        ...result,
        recordsPerSecond: result.rowsPerSecond,
        bytesPerRecord: await bytesPerRecord(setting.sink),
        ...delays,
      };
    });
  },
};

/** One commit that changes every profile, until the sink has acknowledged a record of each. */
async function publishAll(setting: StreamSetting): Promise<Sample> {
  const { bench, sink, profileIds } = setting;
  await settle(bench);
  await sink.forget();
  await changeAll(setting);
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
async function floor({ bench, sink, profileIds, segmentId }: StreamSetting): Promise<Sample> {
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

async function bytesPerRecord(sink: Sink): Promise<number> {
  const { records, bytes } = await sink.report(false);
  return records === 0 ? 0 : Math.round(bytes / records);
}

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sealEndpoint } from '@millrace/crypto';
import { Database, sql } from '@millrace/database';
import {
  BucketClient,
  serviceEnvironment,
  startServices,
  startStack,
  type ServiceName,
  type Services,
  type Stack,
} from '@millrace/dev-stack';
import type { GoalEndpoint, GoalSnapshot, PgpKeys } from '@millrace/domain';
import { openGoalUnit } from '@millrace/job-queue';
import type { UnitQueue } from '@millrace/job-queue';

/** One bench at a time runs in a directory; MILLRACE_BENCH_DIRECTORY names another. */
export const benchDirectory = path.resolve(
  process.env['MILLRACE_BENCH_DIRECTORY'] ?? fileURLToPath(new URL('../../.dev/bench/', import.meta.url)),
);
export const bucketName = 'millrace-bench';

/** The embedded stack, durable as in production, with the services under test; nothing else runs beside them. */
export interface BenchStack {
  readonly stack: Stack;
  readonly services: Services;
  readonly database: Database;
  readonly bucket: BucketClient;
  /** Ends the services and the stack. */
  stop(): Promise<void>;
}

export async function startBenchStack(
  services: readonly ServiceName[],
  say: (line: string) => void,
  env: Readonly<Record<string, string>> = {},
): Promise<BenchStack> {
  const stack = await startStack({
    directory: path.join(benchDirectory, 'stack'),
    cacheDirectory: fileURLToPath(new URL('../../.dev/', import.meta.url)),
    env: {},
    say,
  });
  const running = await startServices(stack, { services, say, env: { MILLRACE_LOG_LEVEL: 'warn', ...env } });
  const database = new Database({ url: stack.urls.database, applicationName: 'millrace-bench', maxConnections: 4 });
  const bucket = new BucketClient({ endpoint: stack.urls.s3, region: 'us-east-1', ...stack.credentials });
  await bucket.createBucket(bucketName);
  return {
    stack,
    services: running,
    database,
    bucket,
    stop: async () => {
      await database.end();
      await stack.stop();
    },
  };
}

/** The S3 or Kinesis endpoint as a goal snapshot carries it, sealed for one service. */
export function sealedEndpoint(
  { stack }: BenchStack,
  service: ServiceName,
  url: string,
  owner: { readonly workspaceId: number; readonly connectionId: string },
  pgp?: PgpKeys,
): GoalEndpoint {
  const key = Buffer.from(serviceEnvironment(stack, service, 0)['MILLRACE_SEALING_KEY'] ?? '', 'base64');
  return sealEndpoint(
    {
      region: 'us-east-1',
      endpoint: url,
      credentials: { kind: 'access-key', ...stack.credentials },
      ...(pgp === undefined ? {} : { pgp }),
    },
    key,
    owner,
  );
}

export interface GoalRun {
  readonly seconds: number;
  readonly counts: Record<string, unknown>;
}

/**
 * Opens the unit of a goal and waits for its end. The seconds are the database's, from the worker's "started" to its "finished":
 * what a run costs, without the wake-up. Throws when the goal does not succeed.
 */
export async function runGoal({ database }: BenchStack, queue: UnitQueue, snapshot: GoalSnapshot): Promise<GoalRun> {
  const runId = crypto.randomUUID();
  await database.transaction((tx) =>
    openGoalUnit(tx, { queue, runId, goalId: snapshot.goalId, snapshot, payload: { version: 1 } }),
  );
  for (;;) {
    const { rows } = await database.query<{ body: string; seconds: number }>(sql`
      SELECT e.body, extract(epoch FROM e.at - (SELECT min(at) FROM work.run_event WHERE run_id = ${runId}::uuid))::float8 AS seconds
      FROM work.run_event e WHERE e.run_id = ${runId}::uuid AND e.body->>'kind' = 'goal-finished'`);
    const finished = rows[0];
    if (finished !== undefined) {
      const body = JSON.parse(finished.body) as {
        outcome: string;
        counts: Record<string, unknown>;
        error?: { message: string };
      };
      if (body.outcome !== 'succeeded')
        throw new Error(`the run ${body.outcome}: ${body.error?.message ?? 'no reason given'}`);
      return { seconds: finished.seconds, counts: body.counts };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The largest resident memory of a process so far, in MiB (Linux). */
export function peakRssMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}

/** Empties the store between runs, and lets PostgreSQL write out what it holds, so that no run pays for another's. */
export async function emptyStore(database: Database): Promise<void> {
  await database.query(sql`
    TRUNCATE profile.profile, profile.identity, profile.consent, profile.event, profile.membership, profile.membership_timer,
      profile.membership_build, profile.outbox, profile.tombstone, profile.last_words`);
  await database.query(sql`CHECKPOINT`);
}

/** Between runs that update: lets PostgreSQL reuse what is dead and write out what it holds. */
export async function restStore(database: Database): Promise<void> {
  await database.query(sql`TRUNCATE profile.outbox`);
  await database.query(sql`VACUUM (ANALYZE) profile.profile`);
  await database.query(sql`VACUUM (ANALYZE) profile.identity`);
  await database.query(sql`VACUUM (ANALYZE) profile.membership`);
  await database.query(sql`CHECKPOINT`);
}

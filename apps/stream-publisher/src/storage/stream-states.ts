import { sql, type Executor } from '@millrace/database';
import { streamState, type StreamBackfill, type StreamState } from '@millrace/domain';

interface StateRow {
  readonly state: string;
  readonly since: Date;
  readonly fault: string | null;
  readonly lag_seconds: number;
  readonly changes: number;
  readonly backfill: number;
  readonly dead_letters: number;
  readonly totals: string;
  readonly last_sent_at: Date | null;
}

interface BackfillRow {
  readonly segment_id: string;
  readonly state: StreamBackfill['state'];
  readonly members: number;
  readonly queued: number;
  readonly remaining: number;
  readonly started_at: Date;
  readonly finished_at: Date | null;
}

/** What a goal is doing; undefined: it was never activated. */
export async function readStreamState(executor: Executor, goalId: string): Promise<StreamState | undefined> {
  const { rows } = await executor.query<StateRow>(sql`
    SELECT g.state,
      CASE g.state WHEN 'active' THEN g.activated_at WHEN 'paused' THEN g.paused_at ELSE COALESCE(g.deactivated_at, g.updated_at) END AS since,
      g.fault, t.last_sent_at,
      greatest(0, date_part('epoch', clock_timestamp() - least(
        (SELECT min(d.first_change_at) FROM publisher.delivery d WHERE d.goal_id = g.goal_id AND d.state = 'pending' AND d.priority = 0),
        CASE WHEN g.state <> 'inactive' THEN (SELECT min(o.occurred_at) FROM profile.outbox o WHERE o.workspace_id = g.workspace_id) END
      ))) AS lag_seconds,
      (SELECT count(*)::float8 FROM publisher.delivery d WHERE d.goal_id = g.goal_id AND d.state = 'pending' AND d.priority = 0) AS changes,
      (SELECT count(*)::float8 FROM publisher.delivery d WHERE d.goal_id = g.goal_id AND d.state = 'pending' AND d.priority > 0) AS backfill,
      (SELECT count(*)::float8 FROM publisher.delivery d WHERE d.goal_id = g.goal_id AND d.state = 'failed') AS dead_letters,
      json_build_object('records', COALESCE(t.records, 0), 'bytes', COALESCE(t.bytes, 0), 'retries', COALESCE(t.retries, 0),
        'throttled', COALESCE(t.throttled, 0), 'deadLetters', COALESCE(t.dead_letters, 0), 'withheld', COALESCE(t.withheld, 0),
        'withdrawn', COALESCE(t.withdrawn, 0), 'erased', COALESCE(t.erased, 0)) AS totals
    FROM publisher.goal g LEFT JOIN publisher.goal_total t ON t.goal_id = g.goal_id
    WHERE g.goal_id = ${goalId}`);
  const row = rows[0];
  if (row === undefined) return undefined;
  return streamState.parse({
    goalId,
    state: row.state,
    since: row.since.toISOString(),
    ...(row.fault === null ? {} : { fault: JSON.parse(row.fault) as unknown }),
    lagSeconds: row.lag_seconds,
    waiting: { changes: row.changes, backfill: row.backfill, deadLetters: row.dead_letters },
    backfills: await readBackfills(executor, goalId),
    totals: JSON.parse(row.totals) as unknown,
    ...(row.last_sent_at === null ? {} : { lastSentAt: row.last_sent_at.toISOString() }),
  });
}

async function readBackfills(executor: Executor, goalId: string): Promise<readonly StreamBackfill[]> {
  const { rows } = await executor.query<BackfillRow>(sql`
    SELECT b.segment_id, b.state, b.members::float8 AS members, b.queued::float8 AS queued, b.started_at, b.finished_at,
      CASE WHEN b.state <> 'running' THEN 0 ELSE (
        SELECT count(*)::float8 FROM profile.membership m
        WHERE m.segment_id = b.segment_id AND m.profile_id > b.cursor AND (m.status = 'realized' OR m.qualified_at >= b.exited_since)) END AS remaining
    FROM publisher.backfill b WHERE b.goal_id = ${goalId} ORDER BY b.started_at, b.segment_id`);
  return rows.map((row) => ({
    segmentId: row.segment_id,
    state: row.state,
    members: row.members,
    queued: row.queued,
    remaining: row.remaining,
    startedAt: row.started_at.toISOString(),
    ...(row.finished_at === null ? {} : { finishedAt: row.finished_at.toISOString() }),
  }));
}

export interface OwedDelivery {
  readonly state: 'pending' | 'failed';
  readonly seq: string;
  readonly reasons: number;
  readonly segments: readonly string[];
  readonly erased: string | null;
  readonly attempts: number;
  readonly changedAt: Date;
  readonly notBefore: Date;
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

/** What a goal still owes the stream of one profile. */
export async function readOwedDelivery(
  executor: Executor,
  goalId: string,
  profileId: string,
): Promise<OwedDelivery | undefined> {
  const { rows } = await executor.query<{
    state: 'pending' | 'failed';
    seq: string;
    reasons: number;
    segments: string[];
    erased: string | null;
    attempts: number;
    changed_at: Date;
    not_before: Date;
    error_code: string | null;
    error_message: string | null;
  }>(sql`
    SELECT state, seq, reasons, segments::text[] AS segments, erased, attempts, changed_at, not_before, error_code, error_message
    FROM publisher.delivery WHERE goal_id = ${goalId} AND profile_id = ${profileId}`);
  const row = rows[0];
  if (row === undefined) return undefined;
  const { state, seq, reasons, segments, erased, attempts, changed_at: changedAt, not_before: notBefore } = row;
  const error = row.error_code === null ? undefined : { code: row.error_code, message: row.error_message ?? '' };
  return { state, seq, reasons, segments, erased, attempts, changedAt, notBefore, error };
}

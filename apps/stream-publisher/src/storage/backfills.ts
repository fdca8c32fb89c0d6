import { sql, type Executor } from '@millrace/database';
import { reason } from './reasons.js';

export interface BackfillSlice {
  readonly goalId: string;
  readonly segmentId: string;
  /** Members looked at in this slice, and those of them that had nothing pending already. */
  readonly members: number;
  readonly queued: number;
  /** Members looked at since the backfill began. */
  readonly total: string;
  readonly finished: boolean;
}

export interface SliceLimits {
  readonly members: number;
  /** A goal with this many backfill deliveries pending gets no further slice until some are sent. */
  readonly pendingPerGoal: number;
}

/**
 * Queues the next members of one segment that is being backfilled, in the order of their ids, behind all live changes; undefined
 * when there is none to do now. Any publisher may do any slice: it is one statement, and the cursor moves with it.
 *
 * A member with a delivery pending already is passed over: its record says everything. One that failed gets another chance.
 */
export async function queueBackfillSlice(executor: Executor, limits: SliceLimits): Promise<BackfillSlice | undefined> {
  const { rows } = await executor.query<{
    goal_id: string;
    segment_id: string;
    members: number;
    queued: number;
    total: string;
    finished: boolean;
  }>(sql`
    WITH job AS MATERIALIZED (
      SELECT b.goal_id, b.segment_id, b.cursor, b.exited_since
      FROM publisher.backfill b
      JOIN publisher.goal g ON g.goal_id = b.goal_id AND g.state = 'active'
      WHERE b.state = 'running'
        AND (SELECT count(*) FROM (
          SELECT FROM publisher.delivery d WHERE d.goal_id = b.goal_id AND d.priority = 1 AND d.state = 'pending' LIMIT ${limits.pendingPerGoal}
        ) AS pending) < ${limits.pendingPerGoal}
      ORDER BY b.started_at, b.goal_id, b.segment_id
      LIMIT 1
      FOR UPDATE OF b SKIP LOCKED
    ), slice AS MATERIALIZED (
      SELECT m.profile_id, m.status, m.qualified_at
      FROM job CROSS JOIN LATERAL (
        SELECT m.profile_id, m.status, m.qualified_at
        FROM profile.membership m
        WHERE m.segment_id = job.segment_id AND m.profile_id > job.cursor AND (m.status = 'realized' OR m.qualified_at >= job.exited_since)
        ORDER BY m.profile_id
        LIMIT ${limits.members}
      ) AS m
    ), queued AS (
      INSERT INTO publisher.delivery AS d (goal_id, profile_id, lane, priority, reasons, segments, first_change_at, changed_at)
      SELECT job.goal_id, slice.profile_id, profile.lane(slice.profile_id), 1, ${reason.backfill}::int,
        CASE WHEN slice.status = 'exited' THEN ARRAY[job.segment_id] ELSE '{}' END, now(), slice.qualified_at
      FROM job CROSS JOIN slice
      ORDER BY slice.profile_id
      ON CONFLICT (profile_id, goal_id) DO UPDATE SET
        seq = excluded.seq,
        reasons = d.reasons | excluded.reasons,
        segments = d.segments || excluded.segments,
        state = 'pending',
        attempts = CASE WHEN d.state = 'failed' THEN 0 ELSE d.attempts END,
        priority = CASE WHEN d.state = 'failed' THEN excluded.priority ELSE d.priority END,
        not_before = CASE WHEN d.state = 'failed' THEN excluded.not_before ELSE d.not_before END,
        first_change_at = CASE WHEN d.state = 'failed' THEN excluded.first_change_at ELSE d.first_change_at END,
        failed_at = NULL
        WHERE d.state = 'failed' OR NOT d.segments @> excluded.segments
      RETURNING 1
    ), counted AS (
      SELECT count(*) AS members, (array_agg(profile_id ORDER BY profile_id DESC))[1] AS last FROM slice
    )
    UPDATE publisher.backfill b SET
      cursor = COALESCE(counted.last, b.cursor),
      members = b.members + counted.members,
      queued = b.queued + (SELECT count(*) FROM queued),
      state = CASE WHEN counted.members < ${limits.members} THEN 'done' ELSE 'running' END,
      finished_at = CASE WHEN counted.members < ${limits.members} THEN now() END
    FROM job, counted
    WHERE b.goal_id = job.goal_id AND b.segment_id = job.segment_id
    RETURNING b.goal_id, b.segment_id, counted.members::int, (SELECT count(*) FROM queued)::int AS queued, b.members AS total,
      b.state = 'done' AS finished`);
  const row = rows[0];
  return row === undefined
    ? undefined
    : {
        goalId: row.goal_id,
        segmentId: row.segment_id,
        members: row.members,
        queued: row.queued,
        total: row.total,
        finished: row.finished,
      };
}

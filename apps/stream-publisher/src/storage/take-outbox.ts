import { sql, type Executor } from '@millrace/database';
import { reason } from './reasons.js';

export interface TakenChanges {
  /** Outbox rows consumed, those no goal cares about included. */
  readonly taken: number;
  /** Lanes that may hold more than was taken. */
  readonly fullLanes: readonly number[];
  /** Goals that have something new to send. */
  readonly goalIds: readonly string[];
}

interface LaneToTake {
  readonly lane: number;
  /** Only rows with higher numbers are looked at: 0, or what `LaneFloors` knows. */
  readonly after: bigint;
}

/**
 * Turns outbox rows of the lanes into deliveries, one per goal and profile, and removes them: all in one statement.
 *
 * A statement of its own transaction needs no fencing by the lane's lease: nothing can freeze between taking and writing,
 * two publishers never take the same row, and the merge comes out the same whoever does it. The lease guards what cannot be
 * taken back: the sending.
 *
 * A goal cares when a mapped segment changed, an identity came or went, a mapped property was written (changed, for goals that
 * suppress same-value writes), or consent changed and the goal reads consent; and for every erasure. Whether the profile is eligible
 * is decided when it is sent, by its state then.
 */
export async function takeOutbox(
  executor: Executor,
  lanes: readonly LaneToTake[],
  rowsPerLane: number,
): Promise<TakenChanges> {
  const { rows } = await executor.query<{ taken: number; full_lanes: number[] | null; goal_ids: string[] | null }>(sql`
    WITH taken AS (
      DELETE FROM profile.outbox
      WHERE ctid = ANY (ARRAY(
        SELECT head.ctid
        FROM unnest(${lanes.map(({ lane }) => lane)}::smallint[], ${lanes.map(({ after }) => String(after))}::bigint[]) AS held (lane, after)
        CROSS JOIN LATERAL (
          SELECT o.ctid FROM profile.outbox o WHERE o.lane = held.lane AND o.id > held.after ORDER BY o.id LIMIT ${rowsPerLane}
        ) AS head
      ))
      RETURNING lane, workspace_id, profile_id, written, changed, segments, identities, consent, erased, occurred_at
    ), counted AS (
      SELECT *, count(*) OVER (PARTITION BY profile_id) AS changes FROM taken
    ), cared AS (
      SELECT g.goal_id, t.profile_id, t.lane, t.occurred_at, t.erased, t.changes,
        CASE WHEN t.segments = '{}' THEN '{}' ELSE ARRAY(SELECT s.id FROM unnest(t.segments) AS s (id) WHERE s.id = ANY (g.segment_ids)) END AS segments,
        CASE WHEN t.erased IS NULL AND t.segments && g.segment_ids THEN ${reason.segment}::int ELSE 0 END
        | CASE WHEN t.erased IS NOT NULL THEN ${reason.erasure}::int WHEN t.identities THEN ${reason.identity}::int ELSE 0 END
        | CASE WHEN CASE WHEN g.suppress_same_value THEN t.changed ELSE t.written || t.changed END && g.property_ids
            THEN ${reason.attribute}::int ELSE 0 END
        | CASE WHEN t.consent AND g.reads_consent THEN ${reason.consent}::int ELSE 0 END AS reasons
      FROM counted t
      JOIN publisher.goal g ON g.workspace_id = t.workspace_id AND g.state <> 'inactive'
    ), due AS (
      -- Most profiles changed once: sorting and grouping those as well, for every goal, would cost as much as writing them down.
      SELECT goal_id, profile_id, lane, reasons, segments, erased, occurred_at AS first_change_at, occurred_at AS changed_at
      FROM cared WHERE changes = 1 AND reasons <> 0
      UNION ALL
      SELECT c.goal_id, c.profile_id, c.lane, bit_or(c.reasons),
        COALESCE(array_agg(DISTINCT s.id) FILTER (WHERE s.id IS NOT NULL), '{}'),
        (array_agg(c.erased) FILTER (WHERE c.erased IS NOT NULL))[1], min(c.occurred_at), max(c.occurred_at)
      FROM cared c LEFT JOIN LATERAL unnest(c.segments) AS s (id) ON true
      WHERE c.changes > 1 AND c.reasons <> 0
      GROUP BY c.goal_id, c.profile_id, c.lane
    ), merged AS (
      INSERT INTO publisher.delivery AS d (goal_id, profile_id, lane, reasons, segments, erased, first_change_at, changed_at)
      SELECT * FROM due ORDER BY goal_id, profile_id
      ON CONFLICT (goal_id, profile_id) DO UPDATE SET
        seq = excluded.seq,
        reasons = d.reasons | excluded.reasons,
        segments = CASE
          WHEN excluded.segments = '{}' THEN d.segments
          WHEN d.segments = '{}' THEN excluded.segments
          ELSE ARRAY(SELECT DISTINCT unnest(d.segments || excluded.segments)) END,
        erased = COALESCE(d.erased, excluded.erased),
        changed_at = greatest(d.changed_at, excluded.changed_at),
        -- A failed delivery starts anew; a backfill that something happened to meanwhile waits no longer.
        state = 'pending',
        priority = excluded.priority,
        attempts = CASE WHEN d.state = 'failed' THEN 0 ELSE d.attempts END,
        first_change_at = CASE WHEN d.state = 'failed' OR d.priority <> excluded.priority THEN excluded.first_change_at ELSE d.first_change_at END,
        not_before = CASE WHEN d.state = 'failed' THEN excluded.not_before ELSE d.not_before END,
        failed_at = NULL
      RETURNING goal_id
    )
    SELECT (SELECT count(*) FROM taken)::int AS taken,
      (SELECT array_agg(lane::int) FROM (SELECT lane FROM taken GROUP BY lane HAVING count(*) >= ${rowsPerLane}) AS f) AS full_lanes,
      (SELECT array_agg(goal_id::text) FROM (SELECT DISTINCT goal_id FROM merged) AS g) AS goal_ids`);
  const row = rows[0];
  return { taken: row?.taken ?? 0, fullLanes: row?.full_lanes ?? [], goalIds: row?.goal_ids ?? [] };
}

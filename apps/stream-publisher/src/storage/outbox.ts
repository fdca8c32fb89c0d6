import { sql, type Executor } from '@millrace/database';
import type { ChangeDelivery } from '../collect-changes/gather-changes.js';

/** A profile that was touched by one commit. */
export interface OutboxRow {
  readonly id: bigint;
  /** Where the row lies: nothing ever writes to it. */
  readonly place: string;
  readonly lane: number;
  readonly workspaceId: number;
  readonly profileId: string;
  /** Epoch milliseconds. */
  readonly occurredAtMs: number;
  /** How long it had waited when it was read. */
  readonly waitedMs: number;
  /** `written/changed/segments/identities/consent/erased`: ids with commas between, then 0 or 1. */
  readonly marks: string;
  /** JSON of an `ErasedProfile`; null: the profile was not erased. */
  readonly erased: string | null;
  /** Goals with a delivery of the profile: pending, given up or of a backfill. */
  readonly owingGoals: readonly string[];
}

export interface Erasure {
  /** JSON of an `ErasedProfile`. */
  readonly erased: string;
  /** Those the profile was in. */
  readonly segments: readonly string[];
}

interface LaneToRead {
  readonly lane: number;
  /** Only rows with higher numbers are looked at: 0, or what `LaneFloors` knows. */
  readonly after: bigint;
  readonly rows: number;
}

interface StoredRow {
  /** All in one text: a column of its own for each would cost the driver more than all the rest. */
  readonly fields: string;
  readonly marks: string;
  readonly erased: string | null;
  readonly owing: string;
}

const nobody: readonly string[] = [];

/** The oldest rows of the lanes. They stay: `settleOutbox` removes them once what they ask for is done or written down. */
export async function readOutbox(executor: Executor, lanes: readonly LaneToRead[]): Promise<readonly OutboxRow[]> {
  const { rows } = await executor.query<StoredRow>(sql`
    SELECT concat_ws(' ', o.id, o.place, o.lane, o.workspace_id, o.profile_id, date_part('epoch', o.occurred_at) * 1000,
        date_part('epoch', clock_timestamp() - o.occurred_at) * 1000) AS fields,
      concat_ws('/', array_to_string(o.written, ','), array_to_string(o.changed, ','), array_to_string(o.segments, ','),
        o.identities::int, o.consent::int, (o.erased IS NOT NULL)::int) AS marks,
      o.erased,
      array_to_string(ARRAY(SELECT d.goal_id FROM publisher.delivery d WHERE d.profile_id = o.profile_id), ',') AS owing
    FROM unnest(${list(lanes.map(({ lane }) => lane))}::smallint[], ${list(lanes.map(({ after }) => after))}::bigint[],
      ${list(lanes.map(({ rows: most }) => most))}::int[]) AS held (lane, after, most)
    CROSS JOIN LATERAL (
      SELECT o.ctid AS place, o.* FROM profile.outbox o WHERE o.lane = held.lane AND o.id > held.after ORDER BY o.id LIMIT held.most
    ) AS o`);
  return rows.map(toRow);
}

function toRow({ fields, marks, erased, owing }: StoredRow): OutboxRow {
  const [id = '0', place = '', lane, workspaceId, profileId = '', occurredMs, waitedMs] = fields.split(' ');
  return {
    id: BigInt(id),
    place,
    lane: Number(lane),
    workspaceId: Number(workspaceId),
    profileId,
    occurredAtMs: Number(occurredMs),
    waitedMs: Number(waitedMs),
    marks,
    erased,
    owingGoals: owing === '' ? nobody : owing.split(','),
  };
}

export async function isInOutbox(executor: Executor, profileId: string): Promise<boolean> {
  const { rowCount } = await executor.query(sql`
    SELECT FROM profile.outbox WHERE lane = profile.lane(${profileId}::uuid) AND profile_id = ${profileId}::uuid LIMIT 1`);
  return rowCount > 0;
}

/** What erased profiles left behind in the outbox rows of these lanes. */
export async function readErasures(
  executor: Executor,
  lanes: ReadonlySet<number>,
  profileIds: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Erasure>> {
  const { rows } = await executor.query<{ profile_id: string; erased: string; segments: string[] }>(sql`
    SELECT o.profile_id, o.erased, o.segments::text[] AS segments FROM profile.outbox o
    WHERE o.lane = ANY (${list([...lanes])}::smallint[]) AND o.profile_id = ANY (${list([...profileIds])}::uuid[]) AND o.erased IS NOT NULL`);
  return new Map(rows.map((row) => [row.profile_id, { erased: row.erased, segments: row.segments }]));
}

/**
 * Removes rows whose changes are on every stream that cares for them, or, as `owed`, written down as deliveries by this very statement: later
 * changes merge into a delivery that is there already. Returns how many rows there were.
 *
 * A statement of its own transaction needs no fencing by the lane's lease: nothing can freeze between removing and writing, and
 * where another publisher has removed the rows of a profile meanwhile, that one has written down what was owed. The lease guards what
 * cannot be taken back: the sending.
 */
export async function settleOutbox(
  executor: Executor,
  rows: readonly OutboxRow[],
  owed: readonly ChangeDelivery[],
): Promise<number> {
  const removed = sql`
    DELETE FROM profile.outbox o
    USING unnest(${list(rows.map(({ place }) => `"${place}"`))}::tid[], ${list(rows.map(({ id }) => id))}::bigint[]) AS k (place, id)
    WHERE o.ctid = k.place AND o.id = k.id`;
  if (owed.length === 0) return (await executor.query(removed)).rowCount;
  const result = await executor.query<{ removed: number }>(sql`
    WITH removed AS (${removed} RETURNING o.profile_id), owed AS (
      SELECT c.goal_id, c.profile_id, c.lane, c.seq, c.reasons, string_to_array(c.segments, ',')::uuid[] AS segments, c.erased,
        to_timestamp(c.first_change_ms / 1000) AS first_change_at, to_timestamp(c.changed_ms / 1000) AS changed_at
      FROM unnest(
        ${list(owed.map(({ goalId }) => goalId))}::uuid[], ${list(owed.map(({ profileId }) => profileId))}::uuid[],
        ${list(owed.map(({ lane }) => lane))}::smallint[], ${list(owed.map(({ seq }) => seq))}::bigint[],
        ${list(owed.map(({ reasons }) => reasons))}::int[], ${list(owed.map(({ segments }) => `"${segments.join(',')}"`))}::text[],
        ${owed.map(({ erased }) => erased)}::jsonb[], ${list(owed.map(({ firstChangeAtMs }) => firstChangeAtMs))}::float8[],
        ${list(owed.map(({ changedAtMs }) => changedAtMs))}::float8[]
      ) AS c (goal_id, profile_id, lane, seq, reasons, segments, erased, first_change_ms, changed_ms)
      -- Neither for a goal that is gone, nor again for what another publisher has settled.
      WHERE c.goal_id IN (SELECT goal_id FROM publisher.goal) AND c.profile_id IN (SELECT profile_id FROM removed)
    ), merged AS (
      INSERT INTO publisher.delivery AS d (goal_id, profile_id, lane, seq, reasons, segments, erased, first_change_at, changed_at)
      SELECT * FROM owed ORDER BY goal_id, profile_id
      ON CONFLICT (profile_id, goal_id) DO UPDATE SET
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
    )
    SELECT count(*)::int AS removed FROM removed`);
  return result.rows[0]?.removed ?? 0;
}

/** Written out: a driver that quotes each element of an array costs as much as the statement. */
function list(values: readonly unknown[]): string {
  return `{${values.join(',')}}`;
}

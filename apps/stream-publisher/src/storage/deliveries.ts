import { sql, type Executor } from '@millrace/database';

/** One profile that a goal owes the stream its present state. */
export interface DueDelivery {
  readonly goalId: string;
  readonly profileId: string;
  readonly lane: number;
  /** Names this state of the delivery: a change that merges in gives it another. */
  readonly seq: string;
  readonly reasons: number;
  /** Mapped segments that changed since the last record. */
  readonly segments: readonly string[];
  /** Failed so far. */
  readonly attempts: number;
  /** Epoch milliseconds of the latest change. */
  readonly changedAtMs: number;
  /** How long the oldest change in it had waited when this was read. */
  readonly waitedMs: number;
  /** Epoch milliseconds since when it may be sent. */
  readonly dueSinceMs: number;
  /** JSON of an `ErasedProfile`; null: the profile was not erased. */
  readonly erased: string | null;
  /** Where the row lies while nothing writes to it; undefined: it has none, or had none when its record was built. */
  readonly place: string | undefined;
  /** Backfill waits behind changes. */
  readonly backfill: boolean;
}

interface DueRow {
  /** What every delivery has, in one text: a column of its own for each would cost the driver more than all the rest. */
  readonly fields: string;
  /** Ids with commas between. */
  readonly segments: string;
  readonly erased: string | null;
}

interface DueGoal {
  readonly goalId: string;
  /** By which its records are built: a goal that has moved on meanwhile yields nothing. */
  readonly snapshotId: string;
  /** Epoch milliseconds: nothing is due since before then. Spares a walk over what was sent since a long transaction began. */
  readonly dueAfterMs: number;
}

interface DueRequest {
  readonly goals: readonly DueGoal[];
  readonly lanes: readonly number[];
  /** Of one goal and lane. */
  readonly rowsPerLane: number;
}

/** What is due now, so much of every goal and lane; changes before backfill, and what waits longest first. */
export async function readDue(executor: Executor, request: DueRequest): Promise<readonly DueDelivery[]> {
  const { rows } = await executor.query<DueRow>(sql`
    SELECT concat_ws(' ', due.goal_id, due.profile_id, due.lane, due.seq, due.reasons, due.attempts,
        date_part('epoch', due.changed_at) * 1000, date_part('epoch', clock_timestamp() - due.first_change_at) * 1000,
        date_part('epoch', due.not_before) * 1000, due.priority, due.place) AS fields,
      array_to_string(due.segments, ',') AS segments, due.erased
    FROM unnest(
      ${request.goals.map((goal) => goal.goalId)}::uuid[], ${request.goals.map((goal) => goal.snapshotId)}::uuid[],
      ${request.goals.map((goal) => goal.dueAfterMs)}::float8[]
    ) AS asked (goal_id, snapshot_id, after_ms)
    JOIN publisher.goal g ON g.goal_id = asked.goal_id AND g.snapshot_id = asked.snapshot_id AND g.state = 'active'
    CROSS JOIN unnest(${request.lanes}::smallint[]) AS held (lane)
    CROSS JOIN LATERAL (
      SELECT d.ctid AS place, d.goal_id, d.profile_id, d.lane, d.seq, d.reasons, d.segments, d.attempts, d.changed_at, d.first_change_at,
        d.priority, d.not_before, d.erased
      FROM publisher.delivery d
      WHERE d.goal_id = g.goal_id AND d.lane = held.lane AND d.state = 'pending' AND d.not_before <= now()
        AND d.not_before > to_timestamp(asked.after_ms / 1000)
      ORDER BY d.priority, d.not_before
      LIMIT ${request.rowsPerLane}
    ) AS due
    ORDER BY due.priority, due.not_before`);
  return rows.map(toDue);
}

const noSegments: readonly string[] = [];

function toDue({ fields, segments, erased }: DueRow): DueDelivery {
  const [
    goalId = '',
    profileId = '',
    lane,
    seq = '',
    reasons,
    attempts,
    changedMs,
    waitedMs,
    sinceMs,
    priority,
    place = '',
  ] = fields.split(' ');
  return {
    goalId,
    profileId,
    lane: Number(lane),
    seq,
    reasons: Number(reasons),
    segments: segments === '' ? noSegments : segments.split(','),
    attempts: Number(attempts),
    changedAtMs: Number(changedMs),
    waitedMs: Number(waitedMs),
    dueSinceMs: Number(sinceMs),
    erased,
    place,
    backfill: priority !== '0',
  };
}

/** Names a delivery as it was when its record was built. */
export interface DeliveryKey {
  readonly goalId: string;
  readonly profileId: string;
  readonly seq: string;
}

/**
 * Removes deliveries whose record was acknowledged, or that turned out to owe nothing. One that a change merged into meanwhile
 * has another number, and stays, due again.
 */
export async function removeDeliveries(executor: Executor, done: readonly DueDelivery[]): Promise<void> {
  const placed = done.filter(({ place }) => place !== undefined);
  const others = done.filter(({ place }) => place === undefined);
  if (placed.length > 0) {
    // By place rather than by key, which would cost a look into the index for each. Written out: a driver that quotes each element of
    // an array costs as much as the statement.
    const places = `{${placed.map(({ place }) => `"${place}"`).join(',')}}`;
    await executor.query(sql`
      DELETE FROM publisher.delivery d
      USING unnest(${places}::tid[], ${`{${placed.map(({ seq }) => seq).join(',')}}`}::bigint[],
        ${`{${placed.map(({ goalId }) => goalId).join(',')}}`}::uuid[]) AS k (place, seq, goal_id)
      WHERE d.ctid = k.place AND d.seq = k.seq AND d.goal_id = k.goal_id`);
  }
  if (others.length > 0) {
    await executor.query(sql`
      DELETE FROM publisher.delivery d
      USING unnest(
        ${others.map(({ goalId }) => goalId)}::uuid[], ${others.map(({ profileId }) => profileId)}::uuid[],
        ${others.map(({ seq }) => seq)}::bigint[]
      ) AS k (goal_id, profile_id, seq)
      WHERE d.goal_id = k.goal_id AND d.profile_id = k.profile_id AND d.seq = k.seq`);
  }
}

/** Deliveries that failed before and were acknowledged now, but stay because a change merged in: for that one nothing has failed yet. */
export async function forgetFailures(executor: Executor, acknowledged: readonly DeliveryKey[]): Promise<void> {
  await executor.query(sql`
    UPDATE publisher.delivery d SET attempts = 0, error_code = NULL, error_message = NULL
    FROM unnest(
      ${acknowledged.map((delivery) => delivery.goalId)}::uuid[], ${acknowledged.map((delivery) => delivery.profileId)}::uuid[],
      ${acknowledged.map((delivery) => delivery.seq)}::bigint[]
    ) AS k (goal_id, profile_id, seq)
    WHERE d.goal_id = k.goal_id AND d.profile_id = k.profile_id AND d.seq <> k.seq AND d.state = 'pending'`);
}

export interface FailedDelivery extends DeliveryKey {
  /** The stream's own word for what went wrong. */
  readonly code: string;
  readonly message: string;
  /** Undefined: no retry is left; kept as `failed`. */
  readonly retryInMs: number | undefined;
}

/** A stream's own words: not too many, and PostgreSQL's texts hold no NUL. */
function asText(message: string): string {
  return message.slice(0, 500).replaceAll('\0', ' ');
}

/**
 * Writes down failed records: to be sent again later, or kept as failed. Where a change merged in meanwhile, the wait holds
 * all the same, but instead of being kept as failed the delivery starts anew.
 */
export async function noteFailures(executor: Executor, failures: readonly FailedDelivery[]): Promise<void> {
  await executor.query(sql`
    UPDATE publisher.delivery d SET
      attempts = CASE WHEN k.retry_ms IS NULL AND d.seq <> k.seq THEN 0 ELSE d.attempts + 1 END,
      state = CASE WHEN k.retry_ms IS NULL AND d.seq = k.seq THEN 'failed' ELSE d.state END,
      failed_at = CASE WHEN k.retry_ms IS NULL AND d.seq = k.seq THEN clock_timestamp() ELSE d.failed_at END,
      not_before = CASE WHEN k.retry_ms IS NULL THEN d.not_before ELSE clock_timestamp() + k.retry_ms * interval '1 millisecond' END,
      error_code = k.code,
      error_message = k.message
    FROM unnest(
      ${failures.map((failure) => failure.goalId)}::uuid[], ${failures.map((failure) => failure.profileId)}::uuid[],
      ${failures.map((failure) => failure.seq)}::bigint[], ${failures.map((failure) => asText(failure.code))}::text[],
      ${failures.map((failure) => asText(failure.message))}::text[],
      ${failures.map((failure) => failure.retryInMs ?? null)}::float8[]
    ) AS k (goal_id, profile_id, seq, code, message, retry_ms)
    WHERE d.goal_id = k.goal_id AND d.profile_id = k.profile_id AND d.state = 'pending'`);
}

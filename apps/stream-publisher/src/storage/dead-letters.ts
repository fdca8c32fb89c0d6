import { sql, type Executor, type Sql } from '@millrace/database';
import type { DeadLetter, DeadLetterFilter, StreamReplay } from '@millrace/domain';
import { reason, reasonNames } from './reasons.js';

interface DeadLetterRow {
  readonly profile_id: string;
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly attempts: number;
  readonly reasons: number;
  readonly failed_at: Date;
  readonly changed_at: Date;
  readonly cursor: string;
}

/** Given up, and by the filter. */
function matching(goalId: string, { profileIds, reason: code, from, to }: DeadLetterFilter): Sql {
  return sql`d.goal_id = ${goalId} AND d.state = 'failed'
    AND (${profileIds === undefined} OR d.profile_id = ANY (${profileIds ?? []}::uuid[]))
    AND (${code ?? null}::text IS NULL OR d.error_code = ${code ?? null}::text)
    AND d.failed_at >= COALESCE(${from ?? null}::timestamptz, '-infinity') AND d.failed_at < COALESCE(${to ?? null}::timestamptz, 'infinity')`;
}

interface DeadLetterQuery {
  readonly filter: DeadLetterFilter;
  readonly limit: number;
  /** `next` of the page before. */
  readonly after?: string | undefined;
}

/** The longest given up first. `next`: where the following page begins; undefined: there is none. */
export async function listDeadLetters(
  executor: Executor,
  goalId: string,
  { filter, limit, after }: DeadLetterQuery,
): Promise<{ readonly items: readonly DeadLetter[]; readonly next: string | undefined }> {
  const [afterMicros, afterProfile] = after?.split('_') ?? [];
  const { rows } = await executor.query<DeadLetterRow>(sql`
    SELECT d.profile_id, d.error_code, d.error_message, d.attempts, d.reasons, d.failed_at, d.changed_at,
      (extract(epoch FROM d.failed_at) * 1000000)::bigint || '_' || d.profile_id AS cursor
    FROM publisher.delivery d
    WHERE ${matching(goalId, filter)}
      AND (${afterMicros ?? null}::bigint IS NULL
        OR (d.failed_at, d.profile_id)
          > ('epoch'::timestamptz + ${afterMicros ?? '0'}::bigint * interval '1 microsecond', ${afterProfile ?? null}::uuid))
    ORDER BY d.failed_at, d.profile_id
    LIMIT ${limit + 1}`);
  const page = rows.slice(0, limit);
  return { items: page.map(toDeadLetter), next: rows.length > limit ? page.at(-1)?.cursor : undefined };
}

/** Sends them again, as their profiles are now, and notes that under `id`. Returns how many; nothing for a goal that is not there. */
export async function replayDeadLetters(
  executor: Executor,
  { id, goalId, filter }: { readonly id: string; readonly goalId: string; readonly filter: DeadLetterFilter },
): Promise<number> {
  const { rows } = await executor.query<{ dead_letters: number }>(sql`
    WITH taken AS (
      UPDATE publisher.delivery d SET
        state = 'pending', seq = nextval('publisher.delivery_seq'), reasons = d.reasons | ${reason.replay}::int, attempts = 0, priority = 0,
        not_before = now(), first_change_at = now(), failed_at = NULL, error_code = NULL, error_message = NULL
      WHERE ${matching(goalId, filter)}
      RETURNING d.profile_id
    ), noted AS (
      INSERT INTO publisher.replay (id, goal_id, filter, dead_letters, taken_at)
      SELECT ${id}::uuid, g.goal_id, ${JSON.stringify(filter)}::jsonb, (SELECT count(*) FROM taken), now() FROM publisher.goal g WHERE g.goal_id = ${goalId}
      RETURNING id, dead_letters
    ), named AS (
      INSERT INTO publisher.replayed (replay_id, profile_id) SELECT noted.id, taken.profile_id FROM noted, taken
    )
    SELECT dead_letters FROM noted`);
  return rows[0]?.dead_letters ?? 0;
}

interface ReplayRow {
  readonly id: string;
  readonly filter: string;
  readonly dead_letters: number;
  readonly taken_at: Date;
  readonly waiting: number;
  readonly failed: number;
}

/** The latest replays of a goal, the latest first, or one of them, each with how far it is. */
export async function readReplays(
  executor: Executor,
  goalId: string,
  { id, limit = 50 }: { readonly id?: string; readonly limit?: number } = {},
): Promise<readonly StreamReplay[]> {
  const { rows } = await executor.query<ReplayRow>(sql`
    SELECT r.id, r.filter, r.dead_letters, r.taken_at,
      count(*) FILTER (WHERE d.state = 'pending')::int AS waiting, count(*) FILTER (WHERE d.state = 'failed')::int AS failed
    FROM (
      SELECT * FROM publisher.replay WHERE goal_id = ${goalId} AND (${id ?? null}::uuid IS NULL OR id = ${id ?? null}::uuid)
      ORDER BY taken_at DESC, id LIMIT ${limit}
    ) AS r
    LEFT JOIN publisher.replayed p ON p.replay_id = r.id
    LEFT JOIN publisher.delivery d ON d.goal_id = r.goal_id AND d.profile_id = p.profile_id AND d.first_change_at <= r.taken_at
    GROUP BY r.id, r.filter, r.dead_letters, r.taken_at ORDER BY r.taken_at DESC, r.id`);
  return rows.map((row) => ({
    id: row.id,
    state: row.waiting > 0 ? 'running' : 'done',
    filter: JSON.parse(row.filter) as DeadLetterFilter,
    takenAt: row.taken_at.toISOString(),
    deadLetters: row.dead_letters,
    waiting: row.waiting,
    sent: row.dead_letters - row.waiting - row.failed,
    failed: row.failed,
  }));
}

/** Forgets replays of so many days ago. */
export async function removeOldReplays(executor: Executor, days: number): Promise<void> {
  await executor.query(sql`DELETE FROM publisher.replay WHERE taken_at < now() - ${days}::float8 * interval '1 day'`);
}

/** Dead letters given up so many days ago, some thousand at most; returns how many: call again while it is not 0. */
export async function removeOldDeadLetters(executor: Executor, days: number): Promise<number> {
  const { rowCount } = await executor.query(sql`
    DELETE FROM publisher.delivery d WHERE (d.goal_id, d.profile_id) IN (
      SELECT old.goal_id, old.profile_id FROM publisher.goal g JOIN publisher.delivery old ON old.goal_id = g.goal_id
      WHERE old.state = 'failed' AND old.failed_at < now() - ${days}::float8 * interval '1 day' LIMIT 5000)
      AND d.state = 'failed'`);
  return rowCount;
}

function toDeadLetter(row: DeadLetterRow): DeadLetter {
  return {
    profileId: row.profile_id,
    reason: row.error_code ?? 'unknown',
    message: row.error_message ?? '',
    attempts: row.attempts,
    failedAt: row.failed_at.toISOString(),
    changedAt: row.changed_at.toISOString(),
    causes: [...reasonNames(row.reasons)],
  };
}

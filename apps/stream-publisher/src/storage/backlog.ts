import { sql, type Executor } from '@millrace/database';

/** What a goal still owes, all publishers together. */
export interface GoalBacklog {
  readonly goalId: string;
  readonly pending: number;
  readonly backfill: number;
  readonly failed: number;
  /** Age of the oldest live change that is not on the stream, in seconds; 0 when all are. */
  readonly oldestSeconds: number;
}

export async function readBacklog(executor: Executor): Promise<readonly GoalBacklog[]> {
  const { rows } = await executor.query<{
    goal_id: string;
    pending: number;
    backfill: number;
    failed: number;
    oldest: number;
  }>(sql`
    SELECT g.goal_id,
      count(d.goal_id) FILTER (WHERE d.state = 'pending' AND d.priority = 0)::int AS pending,
      count(d.goal_id) FILTER (WHERE d.state = 'pending' AND d.priority > 0)::int AS backfill,
      count(d.goal_id) FILTER (WHERE d.state = 'failed')::int AS failed,
      COALESCE(date_part('epoch', clock_timestamp() - min(d.first_change_at) FILTER (WHERE d.state = 'pending' AND d.priority = 0)), 0) AS oldest
    FROM publisher.goal g
    LEFT JOIN publisher.delivery d ON d.goal_id = g.goal_id
    GROUP BY g.goal_id`);
  return rows.map((row) => ({
    goalId: row.goal_id,
    pending: row.pending,
    backfill: row.backfill,
    failed: row.failed,
    oldestSeconds: row.oldest,
  }));
}

/** Age in seconds of the oldest change that no publisher has taken up; 0 when there is none. */
export async function readOutboxAge(executor: Executor): Promise<number> {
  const { rows } = await executor.query<{ age: number | null }>(
    sql`SELECT date_part('epoch', clock_timestamp() - min(occurred_at)) AS age FROM profile.outbox`,
  );
  return Math.max(0, rows[0]?.age ?? 0);
}

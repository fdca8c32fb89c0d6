import { sql, type Executor } from '@millrace/database';

/** What a goal still owes, all publishers together. */
export interface GoalBacklog {
  readonly goalId: string;
  readonly pending: number;
  readonly backfill: number;
  readonly failed: number;
  /** Age of the oldest live change that is not on the stream, in seconds, those still in the outbox included; 0 when all are. */
  readonly oldestSeconds: number;
  /** It is older than the goal allows. */
  readonly late: boolean;
}

interface Backlog {
  readonly goals: readonly GoalBacklog[];
  /** Age in seconds of the oldest change in the outbox: on its way, or not taken up; 0 when there is none. */
  readonly outboxSeconds: number;
}

export async function readBacklog(executor: Executor): Promise<Backlog> {
  const outbox = await executor.query<{ workspace_id: number; age: number }>(sql`
    SELECT workspace_id, date_part('epoch', clock_timestamp() - min(occurred_at)) AS age FROM profile.outbox GROUP BY workspace_id`);
  const ages = new Map(outbox.rows.map((row) => [row.workspace_id, Math.max(0, row.age)]));
  const { rows } = await executor.query<{
    goal_id: string;
    workspace_id: number;
    state: string;
    max_lag_seconds: number;
    pending: number;
    backfill: number;
    failed: number;
    oldest: number;
  }>(sql`
    SELECT g.goal_id, g.workspace_id, g.state, g.max_lag_seconds,
      count(d.goal_id) FILTER (WHERE d.state = 'pending' AND d.priority = 0)::int AS pending,
      count(d.goal_id) FILTER (WHERE d.state = 'pending' AND d.priority > 0)::int AS backfill,
      count(d.goal_id) FILTER (WHERE d.state = 'failed')::int AS failed,
      COALESCE(date_part('epoch', clock_timestamp() - min(d.first_change_at) FILTER (WHERE d.state = 'pending' AND d.priority = 0)), 0) AS oldest
    FROM publisher.goal g
    LEFT JOIN publisher.delivery d ON d.goal_id = g.goal_id
    GROUP BY g.goal_id`);
  const goals = rows.map((row) => {
    const waiting = row.state === 'inactive' ? 0 : (ages.get(row.workspace_id) ?? 0);
    const oldestSeconds = Math.max(0, row.oldest, waiting);
    return {
      goalId: row.goal_id,
      pending: row.pending,
      backfill: row.backfill,
      failed: row.failed,
      oldestSeconds,
      late: row.state === 'active' && oldestSeconds > row.max_lag_seconds,
    };
  });
  return { goals, outboxSeconds: Math.max(0, ...ages.values()) };
}

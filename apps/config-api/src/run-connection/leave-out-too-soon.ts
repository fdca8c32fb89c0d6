import { sql, type Executor } from '@millrace/database';
import type { Connection, Goal } from '@millrace/domain';

/** The goals without exports delivered so recently that the connection's guardrail keeps them; and when the first of those may run. */
export async function leaveOutTooSoon<Entry extends { readonly id: string; readonly goal: Goal }>(
  executor: Executor,
  goals: readonly Entry[],
  connection: Connection,
): Promise<{ readonly goals: readonly Entry[]; readonly nextAt: Date | undefined }> {
  const minutes = connection.kind === 's3' ? connection.guardrails.minExportIntervalMinutes : undefined;
  const exports = goals.filter(({ goal }) => goal.kind === 'export-profiles').map(({ id }) => id);
  if (minutes === undefined || exports.length === 0) return { goals, nextAt: undefined };
  const { rows } = await executor.query<{ goal_id: string; next_at: Date }>(sql`
    SELECT goal_id, max(finished_at) + ${minutes}::int * interval '1 minute' AS next_at FROM config.run_goal
    WHERE goal_id = ANY (${exports}::uuid[]) AND state = 'succeeded'
    GROUP BY goal_id HAVING max(finished_at) + ${minutes}::int * interval '1 minute' > clock_timestamp()`);
  const early = new Map(rows.map(({ goal_id: id, next_at: at }) => [id, at]));
  const times = [...early.values()].sort((left, right) => left.getTime() - right.getTime());
  return { goals: goals.filter(({ id }) => !early.has(id)), nextAt: times[0] };
}

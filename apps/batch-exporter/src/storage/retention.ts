import { type Executor, sql } from '@millrace/database';

export interface Retention {
  /** Exports that ended, with their files' names, sizes and sums. */
  readonly exportDays: number;
  /** The watermark of a goal that has delivered nothing since; its next export is a full one. */
  readonly watermarkDays: number;
}

export const defaultRetention: Retention = { exportDays: 90, watermarkDays: 400 };

/** Removes what nobody reads any more, some thousand rows at most of each. Returns how many: call again while it is not 0. */
export async function removeExpiredExports(executor: Executor, retention: Retention): Promise<number> {
  const before = (days: number): ReturnType<typeof sql> => sql`now() - ${days}::float8 * interval '1 day'`;
  const statements = [
    // Their parts and reserved names go with them.
    sql`DELETE FROM exporter.export WHERE (run_id, goal_id) IN (
      SELECT run_id, goal_id FROM exporter.export
      WHERE state IN ('done', 'failed', 'cancelled') AND updated_at < ${before(retention.exportDays)} LIMIT 1000)`,
    sql`DELETE FROM exporter.watermark WHERE at < ${before(retention.watermarkDays)}`,
    sql`DELETE FROM exporter.delivered WHERE (goal_id, key) IN (
      SELECT d.goal_id, d.key FROM exporter.delivered d
      WHERE NOT EXISTS (SELECT FROM exporter.watermark w WHERE w.goal_id = d.goal_id) LIMIT 10000)`,
  ];
  let removed = 0;
  for (const statement of statements) removed += (await executor.query(statement)).rowCount;
  return removed;
}

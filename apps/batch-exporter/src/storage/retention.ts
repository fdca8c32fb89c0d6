import { type Database, sql } from '@millrace/database';
import { takeCommands } from '@millrace/job-queue';
import { removeErasureReader } from '@millrace/profile-store';

export interface Retention {
  /** Exports that ended, with their files' names, sizes and sums. */
  readonly exportDays: number;
  /** The watermark of a goal that has delivered nothing since; its next export is a full one. */
  readonly watermarkDays: number;
}

export const defaultRetention: Retention = { exportDays: 90, watermarkDays: 400 };

/** Removes what nobody reads any more, some thousand rows at most of each. Returns how many: call again while it is not 0. */
export async function removeExpiredExports(database: Database, retention: Retention): Promise<number> {
  const before = (days: number): ReturnType<typeof sql> => sql`now() - ${days}::float8 * interval '1 day'`;
  const statements = [
    // Their parts and reserved names go with them.
    sql`DELETE FROM exporter.export WHERE (run_id, goal_id) IN (
      SELECT run_id, goal_id FROM exporter.export
      WHERE state IN ('done', 'failed', 'cancelled') AND updated_at < ${before(retention.exportDays)} LIMIT 1000)`,
    // An export that was under way when its goal was deleted may be delivered after that.
    sql`DELETE FROM exporter.watermark w USING exporter.forgotten_goal f WHERE f.goal_id = w.goal_id`,
    sql`DELETE FROM exporter.forgotten_goal f WHERE at < ${before(retention.exportDays)}`,
    sql`DELETE FROM exporter.watermark WHERE at < ${before(retention.watermarkDays)}`,
    sql`DELETE FROM exporter.delivered WHERE (goal_id, audience, key, profile_id) IN (
      SELECT d.goal_id, d.audience, d.key, d.profile_id FROM exporter.delivered d
      WHERE NOT EXISTS (SELECT FROM exporter.watermark w WHERE w.goal_id = d.goal_id) LIMIT 10000)`,
  ];
  let removed = 0;
  for (const statement of statements) removed += (await database.query(statement)).rowCount;
  return removed + (await removeIdleReaders(database));
}

/** Goals that exported nothing, or are no more, need no last words of the erased. One that registers now is about to be planned. */
async function removeIdleReaders(database: Database): Promise<number> {
  const { rows } = await database.query<{ goal_id: string }>(sql`
    SELECT r.goal_id FROM profile.erasure_reader r
    WHERE EXISTS (SELECT FROM exporter.forgotten_goal f WHERE f.goal_id = r.goal_id)
      OR r.registered_at < now() - interval '1 day'
        AND NOT EXISTS (SELECT FROM exporter.watermark w WHERE w.goal_id = r.goal_id)
        AND NOT EXISTS (SELECT FROM exporter.export e WHERE e.goal_id = r.goal_id AND e.state IN ('planned', 'parts', 'finishing'))
    LIMIT 100`);
  for (const { goal_id: goalId } of rows) await database.transaction((tx) => removeErasureReader(tx, goalId));
  return rows.length;
}

/** Takes the word that goals were deleted; what is remembered of them goes with the next removal. Returns how many. */
export async function takeForgotten(database: Database): Promise<number> {
  return await takeCommands(database, ['forget-export'], async (tx, { goalId }) => {
    await tx.query(sql`INSERT INTO exporter.forgotten_goal (goal_id) VALUES (${goalId}) ON CONFLICT DO NOTHING`);
  });
}

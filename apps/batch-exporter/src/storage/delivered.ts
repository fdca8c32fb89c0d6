import { type Sql, sql, type Transaction } from '@millrace/database';
import type { ExportKey } from './exports.js';

/** `key, profile_id`: who had each key in what was delivered of the goal. Without parameters. */
export function deliveredKeys(goalId: string): Sql {
  return sql`SELECT key, profile_id FROM exporter.delivered WHERE goal_id = ${sql.literal(goalId)}::uuid`;
}

/**
 * Remembers who has each key now, from the selection of an export that was delivered; before that is dropped. A full export
 * tells of every key, a delta of those that changed. Whoever was told of as one who left is forgotten, unless it may have come
 * back between the plan and its row; keys nobody has any more may stay.
 * @param snapshot of the plan
 */
export async function keepDelivered(
  tx: Transaction,
  key: ExportKey,
  { full, remembered, snapshot }: { readonly full: boolean; readonly remembered: boolean; readonly snapshot: string },
): Promise<void> {
  if (full) await tx.query(sql`DELETE FROM exporter.delivered WHERE goal_id = ${key.goalId}`);
  if (!remembered) return;
  const told = sql`run_id = ${key.runId} AND goal_id = ${key.goalId} AND key IS NOT NULL`;
  const since = (xid: Sql): Sql => sql`NOT pg_visible_in_snapshot(${xid}, ${snapshot}::pg_snapshot)`;
  await tx.query(sql`
    DELETE FROM exporter.delivered d USING (SELECT key FROM exporter.selected WHERE ${told} AND leaves) AS gone
    WHERE d.goal_id = ${key.goalId} AND d.key = gone.key
      AND NOT EXISTS (SELECT FROM profile.membership m WHERE m.profile_id = d.profile_id AND ${since(sql`m.changed_xid`)})
      AND NOT EXISTS (SELECT FROM profile.consent c WHERE c.profile_id = d.profile_id AND ${since(sql`c.changed_xid`)})`);
  await tx.query(sql`
    INSERT INTO exporter.delivered (goal_id, key, profile_id)
    SELECT goal_id, key, profile_id FROM exporter.selected WHERE ${told} AND NOT leaves
    ON CONFLICT (goal_id, key) DO UPDATE SET profile_id = excluded.profile_id`);
}

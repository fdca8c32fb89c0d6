import { type Sql, sql, type Transaction } from '@millrace/database';
import type { ExportKey } from './exports.js';

/** `key, profile_id`: who had each key in what was delivered of the goal. Without parameters. */
export function deliveredKeys(goalId: string): Sql {
  return sql`SELECT key, profile_id FROM exporter.delivered WHERE goal_id = ${sql.literal(goalId)}::uuid`;
}

/**
 * Remembers who has each key now, from the selection of an export that was delivered; before that is dropped. A full export
 * tells of every key, a delta of those that changed. Keys nobody has any more may stay: whoever gets one is touched.
 */
export async function keepDelivered(
  tx: Transaction,
  key: ExportKey,
  { full, remembered }: { readonly full: boolean; readonly remembered: boolean },
): Promise<void> {
  if (full) await tx.query(sql`DELETE FROM exporter.delivered WHERE goal_id = ${key.goalId}`);
  if (!remembered) return;
  await tx.query(sql`
    INSERT INTO exporter.delivered (goal_id, key, profile_id)
    SELECT goal_id, key, profile_id FROM exporter.selected
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND key IS NOT NULL
    ON CONFLICT (goal_id, key) DO UPDATE SET profile_id = excluded.profile_id`);
}

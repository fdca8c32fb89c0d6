import { type Sql, sql, type Transaction } from '@millrace/database';
import type { ReceiverMemory } from '@millrace/mapping';
import type { ExportKey } from './exports.js';

/** What the receiver of a goal's audience was told. Queries without parameters. @param audience its segment */
export function receiverMemory(goalId: string, audience: string): ReceiverMemory {
  const goal = sql`${sql.literal(goalId)}::uuid`;
  return {
    delivered: sql`SELECT key, profile_id, holds, sealed FROM exporter.delivered WHERE goal_id = ${goal} AND audience = ${sql.literal(audience)}::uuid`,
    lastWords: sql`SELECT profile_id, sealed FROM profile.last_words WHERE goal_id = ${goal}`,
  };
}

/**
 * Remembers what the receiver was told, from the selection of an export that was delivered; before that is dropped. A full export tells
 * of every key, a delta of those that changed. Whoever was told of as one who left is forgotten, unless it may have come back
 * between the plan and its row.
 * @param audiences the segment of each, in the order of the plan
 * @param snapshot of the plan
 */
export async function keepDelivered(
  tx: Transaction,
  key: ExportKey,
  {
    full,
    remembered,
    audiences,
    snapshot,
  }: {
    readonly full: boolean;
    readonly remembered: boolean;
    readonly audiences: readonly string[];
    readonly snapshot: string;
  },
): Promise<void> {
  // What erasures before the plan left for this goal is told, or need not be: a full file holds the living alone.
  await tx.query(sql`
    DELETE FROM profile.last_words w USING profile.tombstone t
    WHERE w.goal_id = ${key.goalId} AND t.profile_id = w.profile_id AND pg_visible_in_snapshot(t.changed_xid, ${snapshot}::pg_snapshot)`);
  if (full) await tx.query(sql`DELETE FROM exporter.delivered WHERE goal_id = ${key.goalId}`);
  if (!remembered) return;
  const told = sql`exporter.selected s JOIN unnest(${audiences}::uuid[]) WITH ORDINALITY AS a (segment_id, place) ON a.place = s.audience + 1
    WHERE s.run_id = ${key.runId} AND s.goal_id = ${key.goalId} AND s.key IS NOT NULL`;
  const since = (xid: Sql): Sql => sql`NOT pg_visible_in_snapshot(${xid}, ${snapshot}::pg_snapshot)`;
  if (!full) {
    await tx.query(sql`
      DELETE FROM exporter.delivered d USING (
        SELECT a.segment_id, s.key, s.profile_id FROM ${told} AND (s.fate IN ('gone', 'erased', 'forget') OR (s.fate = 'left'
          AND EXISTS (SELECT FROM profile.profile p WHERE p.id = s.profile_id AND NOT (${since(sql`p.changed_xid`)}))
          AND NOT EXISTS (SELECT FROM profile.membership m WHERE m.profile_id = s.profile_id AND ${since(sql`m.changed_xid`)})
          AND NOT EXISTS (SELECT FROM profile.consent c WHERE c.profile_id = s.profile_id AND ${since(sql`c.changed_xid`)})))
      ) AS over
      WHERE d.goal_id = ${key.goalId} AND d.audience = over.segment_id AND d.key = over.key AND d.profile_id = over.profile_id`);
  }
  await tx.query(sql`
    INSERT INTO exporter.delivered (goal_id, audience, key, profile_id, holds, sealed)
    SELECT s.goal_id, a.segment_id, s.key, s.profile_id, s.fate = 'row', s.sealed FROM ${told} AND s.fate IN ('row', 'next')
    ON CONFLICT (goal_id, audience, key, profile_id) DO UPDATE SET holds = excluded.holds, sealed = excluded.sealed`);
}

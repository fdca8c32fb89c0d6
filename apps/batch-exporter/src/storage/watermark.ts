import { sql, type Transaction } from '@millrace/database';
import type { Watermark } from '../plan-export/decide-mode.js';
import { type StorePosition, storePosition } from '../plan-export/export-plan.js';
import type { ExportKey } from './exports.js';

interface PositionRecord {
  readonly snapshot: string;
  readonly lsn: string;
  readonly system_identifier: string;
  readonly timeline: number;
  readonly epoch: number;
  readonly planned_at: Date;
  readonly w_snapshot: string | null;
  readonly w_goal_hash: string;
  readonly w_system_identifier: string;
  readonly w_timeline: number;
  readonly w_epoch: number;
  readonly w_ahead: boolean;
}

/**
 * Where the store stands now and where the goal's last delivered export stood, read in one statement: the snapshot is the
 * one this statement itself sees with. The timeline comes from the name of the WAL file being written, which changes with
 * a promotion; the control file's only does with the checkpoint after it.
 */
export async function readPosition(
  tx: Transaction,
  goalId: string,
): Promise<{ readonly position: StorePosition; readonly watermark: Watermark | undefined; readonly plannedAt: Date }> {
  const { rows } = await tx.query<PositionRecord>(sql`
    SELECT pg_current_snapshot()::text AS snapshot, pg_current_wal_insert_lsn()::text AS lsn,
      (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
      ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint::float8 AS timeline,
      (SELECT epoch FROM profile.store) AS epoch, clock_timestamp() AS planned_at,
      w.snapshot::text AS w_snapshot, w.goal_hash AS w_goal_hash, w.system_identifier AS w_system_identifier,
      w.timeline::float8 AS w_timeline, w.epoch AS w_epoch,
      pg_snapshot_xmax(w.snapshot) > pg_snapshot_xmax(pg_current_snapshot()) AS w_ahead
    FROM (VALUES (1)) AS one LEFT JOIN exporter.watermark w ON w.goal_id = ${goalId}`);
  const row = rows[0] as PositionRecord;
  return {
    position: storePosition.parse({
      snapshot: row.snapshot,
      lsn: row.lsn,
      systemIdentifier: row.system_identifier,
      timeline: row.timeline,
      epoch: row.epoch,
    }),
    watermark:
      row.w_snapshot === null
        ? undefined
        : {
            snapshot: row.w_snapshot,
            goalHash: row.w_goal_hash,
            systemIdentifier: row.w_system_identifier,
            timeline: row.w_timeline,
            epoch: row.w_epoch,
            ahead: row.w_ahead,
          },
    plannedAt: row.planned_at,
  };
}

/** Everything up to this position is delivered. */
export async function storeWatermark(
  tx: Transaction,
  key: ExportKey,
  goalHash: string,
  position: StorePosition,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO exporter.watermark (goal_id, snapshot, goal_hash, system_identifier, timeline, epoch, run_id)
    VALUES (${key.goalId}, ${position.snapshot}, ${goalHash}, ${position.systemIdentifier}, ${position.timeline}, ${position.epoch}, ${key.runId})
    ON CONFLICT (goal_id) DO UPDATE SET snapshot = excluded.snapshot, goal_hash = excluded.goal_hash,
      system_identifier = excluded.system_identifier, timeline = excluded.timeline, epoch = excluded.epoch,
      run_id = excluded.run_id, at = now()`);
}

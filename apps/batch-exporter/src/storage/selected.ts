import { type Sql, sql, type Transaction } from '@millrace/database';
import type { ExportKey } from './exports.js';

/** Keeps the selection of an export that is split by rows. Returns how many rows it has. */
export async function storeSelected(tx: Transaction, key: ExportKey, numbered: Sql): Promise<number> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO exporter.selected (run_id, goal_id, number, profile_id)
    SELECT ${key.runId}, ${key.goalId}, found.number, found.profile_id FROM (${numbered}) AS found`);
  return rowCount ?? 0;
}

/** The profiles of one file, from 1, of so many rows. Without parameters, for COPY. */
export function selectedOfFile(key: ExportKey, file: number, rows: number): Sql {
  return sql`SELECT profile_id FROM exporter.selected
    WHERE run_id = ${sql.literal(key.runId)}::uuid AND goal_id = ${sql.literal(key.goalId)}::uuid
      AND number > ${sql.integer((file - 1) * rows)} AND number <= ${sql.integer(file * rows)}`;
}

/** With the end of the export, however it ends. */
export async function dropSelected(tx: Transaction, key: ExportKey): Promise<void> {
  await tx.query(sql`DELETE FROM exporter.selected WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}`);
}

import { type Executor, type Sql, sql, type Transaction } from '@millrace/database';
import type { ExportKey } from './exports.js';

/** Keeps the selection of one audience of an export that is split by rows or deduplicated. Returns how many rows it has. */
export async function storeSelected(tx: Transaction, key: ExportKey, audience: number, numbered: Sql): Promise<number> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO exporter.selected (run_id, goal_id, audience, number, profile_id, key, leaves)
    SELECT ${key.runId}, ${key.goalId}, ${audience}, found.number, found.profile_id, found.key, found.leaves FROM (${numbered}) AS found`);
  return rowCount ?? 0;
}

/** The files of a large export are planned by its size: without statistics each row would be looked up one by one. */
export async function measureSelected(executor: Executor): Promise<void> {
  await executor.query(sql`ANALYZE exporter.selected`);
}

/** The rows of one file of an audience, from 1, of so many rows: `profile_id, key`. Without parameters, for COPY. */
export function selectedOfFile(key: ExportKey, audience: number, file: number, rows: number): Sql {
  return sql`SELECT profile_id, key FROM exporter.selected
    WHERE run_id = ${sql.literal(key.runId)}::uuid AND goal_id = ${sql.literal(key.goalId)}::uuid AND audience = ${sql.integer(audience)}
      AND number > ${sql.integer((file - 1) * rows)} AND number <= ${sql.integer(file * rows)}`;
}

/** With the end of the export, however it ends. */
export async function dropSelected(tx: Transaction, key: ExportKey): Promise<void> {
  await tx.query(sql`DELETE FROM exporter.selected WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}`);
}

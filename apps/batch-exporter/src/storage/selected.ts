import { type Executor, type Sql, sql, type Transaction } from '@millrace/database';
import type { ExportSelection } from '@millrace/mapping';
import type { ExportKey } from './exports.js';

/** Seals what a goal remembers of a key. */
export type SealKnown = (known: string) => string;

const rowsAtOnce = 5000;

/**
 * Keeps the selection of one audience of an export that is split by rows or remembered. Returns how many rows its files have. What
 * is to be sealed passes through here by the thousands, so that it is never stored as it is.
 */
export async function storeSelected(
  tx: Transaction,
  key: ExportKey,
  audience: number,
  { numbered, sealsKeys }: Pick<ExportSelection, 'numbered' | 'sealsKeys'>,
  seal: SealKnown,
): Promise<number> {
  if (!sealsKeys) {
    const { rows } = await tx.query<{ written: number }>(sql`
      WITH stored AS (
        INSERT INTO exporter.selected (run_id, goal_id, audience, number, profile_id, key, fate, sealed)
        SELECT ${key.runId}, ${key.goalId}, ${audience}, found.number, found.profile_id, found.key, found.fate, found.sealed
        FROM (${numbered}) AS found RETURNING number
      )
      SELECT (count(*) FILTER (WHERE number > 0))::float8 AS written FROM stored`);
    return rows[0]?.written ?? 0;
  }
  await tx.query(sql`DECLARE numbered NO SCROLL CURSOR FOR ${numbered}`);
  let written = 0;
  for (;;) {
    const { rows } = await tx.query<NumberedRow>(sql`FETCH ${sql.integer(rowsAtOnce)} FROM numbered`);
    if (rows.length === 0) break;
    const sealed = rows.map((row) => sealedOf(row, seal));
    await tx.query(sql`
      INSERT INTO exporter.selected (run_id, goal_id, audience, number, profile_id, key, fate, sealed)
      SELECT ${key.runId}, ${key.goalId}, ${audience}, found.* FROM unnest(
        ${rows.map(({ number }) => number)}::bigint[], ${rows.map((row) => row.profile_id)}::uuid[], ${rows.map((row) => row.key)}::bytea[],
        ${rows.map(({ fate }) => fate)}::text[], ${sealed}::text[]) AS found`);
    written += rows.filter(({ number }) => Number(number) > 0).length;
  }
  await tx.query(sql`CLOSE numbered`);
  return written;
}

function sealedOf({ fate, known, sealed }: NumberedRow, seal: SealKnown): string | null {
  if (fate === 'row') return known === null ? null : seal(known);
  return fate === 'gone' ? sealed : null;
}

interface NumberedRow {
  readonly number: string;
  readonly profile_id: string;
  readonly key: Buffer;
  readonly fate: string;
  readonly sealed: string | null;
  readonly known: string | null;
}

/** The files of a large export are planned by its size: without statistics each row would be looked up one by one. */
export async function measureSelected(executor: Executor): Promise<void> {
  await executor.query(sql`ANALYZE exporter.selected`);
}

/** Place of a file among those of an audience, from 1, and of how many rows each of them is. */
export interface FileOfSelected {
  readonly audience: number;
  readonly number: number;
  readonly splitRows: number;
}

function rowsIn(key: ExportKey, { audience, number, splitRows }: FileOfSelected): Sql {
  return sql`run_id = ${sql.literal(key.runId)}::uuid AND goal_id = ${sql.literal(key.goalId)}::uuid AND audience = ${sql.integer(audience)}
      AND number > ${sql.integer((number - 1) * splitRows)} AND number <= ${sql.integer(number * splitRows)}`;
}

/** The rows of one file: `number, profile_id, key, fate`. Without parameters, for COPY. */
export function selectedOfFile(key: ExportKey, file: FileOfSelected): Sql {
  return sql`SELECT number, profile_id, key, fate FROM exporter.selected WHERE ${rowsIn(key, file)}`;
}

/** What was sealed about those in a file who are gone. */
export async function sealedOfFile(
  executor: Executor,
  key: ExportKey,
  file: FileOfSelected,
): Promise<readonly { readonly number: string; readonly profileId: string; readonly sealed: string }[]> {
  const { rows } = await executor.query<{ number: string; profile_id: string; sealed: string }>(sql`
    SELECT number, profile_id, sealed FROM exporter.selected
    WHERE ${rowsIn(key, file)} AND fate IN ('gone', 'erased') AND sealed IS NOT NULL`);
  return rows.map(({ number, profile_id: profileId, sealed }) => ({ number, profileId, sealed }));
}

/** With the end of the export, however it ends. */
export async function dropSelected(tx: Transaction, key: ExportKey): Promise<void> {
  await tx.query(sql`DELETE FROM exporter.selected WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}`);
}

import { type Executor, sql, type Transaction } from '@millrace/database';
import type { ExportKey, ExportState } from './exports.js';

export interface PartRow {
  /** From 1: the file's place in the names. */
  readonly number: number;
  readonly unitId: string;
  readonly objectKey: string;
  readonly state: 'waiting' | 'writing' | 'stored' | 'completed';
  readonly uploadId: string | undefined;
  readonly receipt: string | undefined;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

interface PartRecord {
  readonly number: number;
  readonly unit_id: string;
  readonly object_key: string;
  readonly state: PartRow['state'];
  readonly upload_id: string | null;
  readonly upload_receipt: string | null;
  readonly rows: number;
  readonly bytes: number | null;
  readonly sha256: string | null;
}

/** In file order. */
export async function readParts(executor: Executor, key: ExportKey): Promise<readonly PartRow[]> {
  const { rows } = await executor.query<PartRecord>(sql`
    SELECT number, unit_id, object_key, state, upload_id, upload_receipt, rows::float8 AS rows, bytes::float8 AS bytes, sha256
    FROM exporter.part WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} ORDER BY number`);
  return rows.map((row) => ({
    number: row.number,
    unitId: row.unit_id,
    objectKey: row.object_key,
    state: row.state,
    uploadId: row.upload_id ?? undefined,
    receipt: row.upload_receipt ?? undefined,
    rows: row.rows,
    bytes: row.bytes ?? 0,
    sha256: row.sha256 ?? '',
  }));
}

/** Fixes the names and opens the parts: the export is in state `parts`. */
export async function insertParts(
  tx: Transaction,
  key: ExportKey,
  names: { readonly manifests: readonly string[]; readonly token: string | undefined },
  parts: readonly { readonly number: number; readonly unitId: string; readonly objectKey: string }[],
): Promise<void> {
  await tx.query(sql`
    INSERT INTO exporter.part (run_id, goal_id, number, unit_id, object_key)
    SELECT ${key.runId}, ${key.goalId}, part.* FROM unnest(
      ${parts.map((part) => part.number)}::int[], ${parts.map((part) => part.unitId)}::uuid[], ${parts.map((part) => part.objectKey)}::text[]
    ) AS part (number, unit_id, object_key)`);
  await tx.query(sql`
    UPDATE exporter.export SET state = 'parts', manifest_keys = ${names.manifests}::text[], token_key = ${names.token ?? null},
      updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}`);
}

/** Before the first byte: whoever takes the part over must be able to find this upload. */
export async function recordUpload(
  tx: Transaction,
  key: ExportKey,
  part: { readonly number: number; readonly uploadId: string; readonly leaseToken: string },
): Promise<void> {
  await tx.query(sql`
    UPDATE exporter.part SET state = 'writing', upload_id = ${part.uploadId}, lease_token = ${part.leaseToken},
      upload_receipt = NULL, rows = 0, bytes = NULL, sha256 = NULL, updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND number = ${part.number}`);
}

export interface StoredPart {
  readonly number: number;
  readonly uploadId: string;
  readonly receipt: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** All bytes of the part are stored, invisibly. Returns how many parts are not yet. The caller holds the export's lock. */
export async function recordStored(tx: Transaction, key: ExportKey, part: StoredPart): Promise<number> {
  const { rowCount } = await tx.query(sql`
    UPDATE exporter.part SET state = 'stored', upload_receipt = ${part.receipt}, rows = ${part.rows}, bytes = ${part.bytes},
      sha256 = ${part.sha256}, updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND number = ${part.number} AND upload_id = ${part.uploadId} AND state = 'writing'`);
  if (rowCount !== 1)
    throw new Error(`part ${part.number} of export ${key.runId} is not being written by upload ${part.uploadId}`);
  const { rows } = await tx.query<{ open: number }>(sql`
    SELECT count(*)::int AS open FROM exporter.part
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND state IN ('waiting', 'writing')`);
  return rows[0]?.open ?? 0;
}

export async function recordCompleted(tx: Transaction, key: ExportKey, number: number): Promise<void> {
  await tx.query(sql`
    UPDATE exporter.part SET state = 'completed', updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND number = ${number}`);
}

export interface PartProgress {
  readonly exportState: ExportState;
  /** Rows of all parts so far. */
  readonly rows: number;
}

/**
 * Notes how many rows the COPY of this backend has sent, which the server counts for us, and says how the export stands.
 * Undefined: the part is no longer written by this upload.
 */
export async function recordProgress(
  executor: Executor,
  key: ExportKey,
  part: { readonly number: number; readonly uploadId: string; readonly backendPid: number },
): Promise<PartProgress | undefined> {
  const { rows } = await executor.query<{ state: ExportState; rows: number }>(sql`
    WITH own AS (
      UPDATE exporter.part SET rows = greatest(rows, coalesce((SELECT tuples_processed FROM pg_stat_progress_copy WHERE pid = ${part.backendPid}), 0))
      WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND number = ${part.number} AND upload_id = ${part.uploadId}
      RETURNING rows
    )
    SELECT e.state, (own.rows + (
      SELECT coalesce(sum(p.rows), 0) FROM exporter.part p
      WHERE p.run_id = e.run_id AND p.goal_id = e.goal_id AND p.number <> ${part.number}))::float8 AS rows
    FROM own, exporter.export e WHERE e.run_id = ${key.runId} AND e.goal_id = ${key.goalId}`);
  const row = rows[0];
  return row === undefined ? undefined : { exportState: row.state, rows: row.rows };
}

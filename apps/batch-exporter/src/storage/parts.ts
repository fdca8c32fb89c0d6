import { type Executor, sql, type Transaction } from '@millrace/database';
import { z } from 'zod';
import type { ExportKey, ExportState } from './exports.js';

/** What became of rows and values on their way into a file. */
export const partTallies = z.object({
  /** Rows that a processor dropped. */
  filtered: z.int().default(0),
  /** Values a processor could not understand. */
  valuesLeftOut: z.int().default(0),
  /** Characters the charset lacks, written as `?`. */
  charactersReplaced: z.int().default(0),
  /** Rows that came to each `log`, in order. */
  logged: z.array(z.object({ label: z.string(), rows: z.int() })).default([]),
});
export type PartTallies = z.infer<typeof partTallies>;

export interface PartRow {
  /** From 1, over all files of the export. */
  readonly number: number;
  /** Whose it is: place of the audience among those of the plan, from 0. */
  readonly audience: number;
  /** '' for profiles; the name of an event type, or of one and its list: `order/products`. */
  readonly series: string;
  /** From 1: its place among the files its unit writes one after the other. */
  readonly file: number;
  readonly unitId: string;
  readonly objectKey: string;
  readonly state: 'waiting' | 'writing' | 'stored' | 'omitted' | 'completed';
  readonly uploadId: string | undefined;
  readonly receipt: string | undefined;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly tallies: PartTallies;
}

interface PartRecord {
  readonly number: number;
  readonly audience: number;
  readonly series: string;
  readonly file: number;
  readonly unit_id: string;
  readonly object_key: string;
  readonly state: PartRow['state'];
  readonly upload_id: string | null;
  readonly upload_receipt: string | null;
  readonly rows: number;
  readonly bytes: number | null;
  readonly sha256: string | null;
  readonly tallies: string;
}

/** In the order of their names: what a unit added follows its first file. */
export async function readParts(executor: Executor, key: ExportKey): Promise<readonly PartRow[]> {
  const { rows } = await executor.query<PartRecord>(sql`
    SELECT number, audience, series, file, unit_id, object_key, state, upload_id, upload_receipt, rows::float8 AS rows,
      bytes::float8 AS bytes, sha256, tallies
    FROM exporter.part WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}
    ORDER BY min(number) OVER (PARTITION BY unit_id), file`);
  return rows.map((row) => ({
    number: row.number,
    audience: row.audience,
    series: row.series,
    file: row.file,
    unitId: row.unit_id,
    objectKey: row.object_key,
    state: row.state,
    uploadId: row.upload_id ?? undefined,
    receipt: row.upload_receipt ?? undefined,
    rows: row.rows,
    bytes: row.bytes ?? 0,
    sha256: row.sha256 ?? '',
    tallies: partTallies.parse(JSON.parse(row.tallies)),
  }));
}

export interface NewPart {
  readonly number: number;
  readonly audience: number;
  readonly series: string;
  readonly unitId: string;
  readonly objectKey: string;
}

/** Fixes the names and opens the parts: the export is in state `parts`. */
export async function insertParts(
  tx: Transaction,
  key: ExportKey,
  names: { readonly manifests: readonly string[]; readonly token: string | undefined },
  parts: readonly NewPart[],
): Promise<void> {
  await tx.query(sql`
    INSERT INTO exporter.part (run_id, goal_id, number, audience, series, unit_id, object_key)
    SELECT ${key.runId}, ${key.goalId}, part.* FROM unnest(
      ${parts.map((part) => part.number)}::int[], ${parts.map((part) => part.audience)}::int[], ${parts.map((part) => part.series)}::text[],
      ${parts.map((part) => part.unitId)}::uuid[], ${parts.map((part) => part.objectKey)}::text[]
    ) AS part (number, audience, series, unit_id, object_key)`);
  await tx.query(sql`
    UPDATE exporter.export SET state = 'parts', manifest_keys = ${names.manifests}::text[], token_key = ${names.token ?? null},
      updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}`);
}

/** One more file of a unit that cuts as it writes. Returns its number; the caller holds the export's lock. */
export async function insertFurtherPart(
  tx: Transaction,
  key: ExportKey,
  part: Pick<PartRow, 'audience' | 'series' | 'file' | 'unitId' | 'objectKey'>,
): Promise<number> {
  const { rows } = await tx.query<{ number: number }>(sql`
    INSERT INTO exporter.part (run_id, goal_id, number, audience, series, file, unit_id, object_key)
    SELECT ${key.runId}, ${key.goalId}, max(number) + 1, ${part.audience}::int, ${part.series}, ${part.file}, ${part.unitId}, ${part.objectKey}
    FROM exporter.part WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}
    RETURNING number`);
  return rows[0]?.number ?? 0;
}

/** Before a unit begins anew: the files it cut off are no longer, their names are free, its first one waits. */
export async function forgetFurtherParts(tx: Transaction, key: ExportKey, unitId: string): Promise<void> {
  await tx.query(sql`
    WITH gone AS (
      DELETE FROM exporter.part
      WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND unit_id = ${unitId} AND file > 1 RETURNING object_key
    )
    DELETE FROM exporter.reserved_key
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND object_key IN (SELECT object_key FROM gone)`);
  await tx.query(sql`
    UPDATE exporter.part SET state = 'waiting', upload_id = NULL, upload_receipt = NULL, rows = 0, bytes = NULL, sha256 = NULL,
      tallies = '{}', updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND unit_id = ${unitId} AND file = 1`);
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
  /** Undefined: nothing was written and the upload is aborted. */
  readonly stored: { readonly receipt: string; readonly bytes: number; readonly sha256: string } | undefined;
  readonly rows: number;
  readonly tallies: PartTallies;
}

/** All bytes of the part are stored, invisibly. Returns how many parts are not yet. The caller holds the export's lock. */
export async function recordStored(tx: Transaction, key: ExportKey, part: StoredPart): Promise<number> {
  const { receipt = null, bytes = 0, sha256 = null } = part.stored ?? {};
  const { rowCount } = await tx.query(sql`
    UPDATE exporter.part SET state = ${part.stored === undefined ? 'omitted' : 'stored'}, upload_receipt = ${receipt}, rows = ${part.rows},
      bytes = ${bytes}, sha256 = ${sha256}, tallies = ${JSON.stringify(part.tallies)}::jsonb, updated_at = clock_timestamp()
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
  /** Rows of all files of profiles so far. */
  readonly rows: number;
}

/** How many rows the COPY of a backend has sent, which its server counts for us. @param executor of that server */
export async function copiedRows(executor: Executor, backendPid: number): Promise<number> {
  const { rows } = await executor.query<{ rows: number }>(
    sql`SELECT tuples_processed::float8 AS rows FROM pg_stat_progress_copy WHERE pid = ${backendPid}`,
  );
  return rows[0]?.rows ?? 0;
}

/** Notes how many rows a part has so far, and says how the export stands. Undefined: the part is no longer written by this upload. */
export async function recordProgress(
  executor: Executor,
  key: ExportKey,
  part: {
    readonly number: number;
    readonly uploadId: string;
    readonly rows: number;
  },
): Promise<PartProgress | undefined> {
  const { rows } = await executor.query<{ state: ExportState; rows: number }>(sql`
    WITH own AS (
      -- What is stored has been counted: the COPY may be rows ahead of it by now.
      UPDATE exporter.part SET rows = CASE state WHEN 'writing' THEN greatest(rows, ${part.rows}::bigint) ELSE rows END
      WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND number = ${part.number} AND upload_id = ${part.uploadId}
      RETURNING rows, series
    )
    SELECT e.state, (CASE own.series WHEN '' THEN own.rows ELSE 0 END + (
      SELECT coalesce(sum(p.rows), 0) FROM exporter.part p
      WHERE p.run_id = e.run_id AND p.goal_id = e.goal_id AND p.number <> ${part.number} AND p.series = ''))::float8 AS rows
    FROM own, exporter.export e WHERE e.run_id = ${key.runId} AND e.goal_id = ${key.goalId}`);
  const row = rows[0];
  return row === undefined ? undefined : { exportState: row.state, rows: row.rows };
}

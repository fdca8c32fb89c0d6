import { sql, type Executor, type Transaction } from '@millrace/database';

/** A file of an ended run with rows that can be corrected. */
export interface RejectedFile {
  readonly id: string;
  readonly goalId: string;
  readonly snapshotId: string;
  /** The object's key. */
  readonly key: string;
  readonly state: string;
  readonly isDryRun: boolean;
  /** Its unit of work is not over yet. */
  readonly isOpen: boolean;
  /** Columns by alias. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** The files of a run, in their order. */
export async function filesOfRun(executor: Executor, runId: string): Promise<readonly RejectedFile[]> {
  const { rows } = await executor.query<{
    id: string;
    goal_id: string;
    snapshot_id: string;
    key: string;
    state: string;
    dry: boolean;
    open: boolean;
    headers: string;
  }>(sql`
    SELECT f.id, f.goal_id, u.snapshot_id, f.key, f.state, f.rehearsal IS NOT NULL AS dry, u.state IN ('ready', 'running') AS open, f.headers
    FROM importer.file f JOIN work.unit u ON u.id = f.unit_id WHERE f.run_id = ${runId} ORDER BY f.position, f.id`);
  return rows.map((row) => ({
    id: row.id,
    goalId: row.goal_id,
    snapshotId: row.snapshot_id,
    key: row.key,
    state: row.state,
    isDryRun: row.dry,
    isOpen: row.open,
    headers: JSON.parse(row.headers) as RejectedFile['headers'],
  }));
}

export interface RejectedRow {
  readonly id: string;
  readonly fileId: string;
  readonly alias: string;
  readonly name: string;
  readonly line: number;
  readonly column: string | null;
  readonly code: string;
  readonly message: string;
  readonly raw: string | null;
}

/** Rejected rows of a run that nobody has corrected yet, at most 1000 after the one with id `after`. */
export async function rejectedRows(executor: Executor, runId: string, after: string): Promise<readonly RejectedRow[]> {
  const { rows } = await executor.query<RejectedRow>(sql`
    SELECT r.id, r.file_id AS "fileId", r.alias, r.name, r.line::float8 AS line, r.column_name AS "column", r.code, r.message, r.raw
    FROM importer.reject r JOIN importer.file f ON f.id = r.file_id AND f.reject_stage = r.stage_number
    WHERE f.run_id = ${runId} AND r.scope IN ('row', 'unmatched') AND r.fixed_at IS NULL AND r.id > ${after}::bigint
    ORDER BY r.id LIMIT 1000`);
  return rows;
}

interface OpenLine {
  /** Nobody has corrected it yet. */
  readonly open: boolean;
  /** It was no worse than that nobody had its identifiers. */
  readonly unmatched: boolean;
}

/** Which of these lines of the root file still wait for a correction. The caller holds the file's lock. */
export async function openLines(
  tx: Transaction,
  fileId: string,
  lines: readonly number[],
): Promise<ReadonlyMap<number, OpenLine>> {
  const { rows } = await tx.query<OpenLine & { readonly line: number }>(sql`
    SELECT r.line::float8 AS line, r.fixed_at IS NULL AS open, r.scope = 'unmatched' AS unmatched
    FROM importer.reject r JOIN importer.file f ON f.id = r.file_id AND f.reject_stage = r.stage_number
    WHERE f.id = ${fileId} AND r.alias = 'root' AND r.scope IN ('row', 'unmatched') AND r.line = ANY(${lines}::bigint[])`);
  return new Map(rows.map(({ line, open, unmatched }) => [line, { open, unmatched }]));
}

export async function markFixed(tx: Transaction, fileId: string, lines: readonly number[]): Promise<void> {
  await tx.query(sql`
    UPDATE importer.reject r SET fixed_at = now() FROM importer.file f
    WHERE f.id = ${fileId} AND r.file_id = f.id AND r.stage_number = f.reject_stage AND r.alias = 'root' AND r.scope IN ('row', 'unmatched')
      AND r.line = ANY(${lines}::bigint[])`);
}

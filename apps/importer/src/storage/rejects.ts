import { sql, type Executor } from '@millrace/database';

/** A row, or one field of a row that was imported without it, and why; or a row that was `ambiguous` or `unmatched`, which are counted apart. */
export interface Reject {
  /** Physical line of the row's first character, from 1. */
  readonly line: number;
  readonly scope: 'row' | 'field' | 'ambiguous' | 'unmatched';
  readonly column: string | undefined;
  readonly code: string;
  /** Free of the row's content. */
  readonly message: string;
  /** The row as it stood in the file; personal data. */
  readonly raw: string | undefined;
}

export interface RejectOrigin {
  readonly fileId: string;
  readonly stage: string;
  readonly alias: string;
  /** The object's key. */
  readonly name: string;
}

export async function insertRejects(
  executor: Executor,
  origin: RejectOrigin,
  rejects: readonly Reject[],
): Promise<void> {
  await executor.query(sql`
    INSERT INTO importer.reject (file_id, stage_number, alias, name, line, scope, column_name, code, message, raw)
    SELECT ${origin.fileId}::bigint, ${origin.stage}::bigint, ${origin.alias}, ${origin.name}, r.*
    FROM unnest(${rejects.map((each) => each.line)}::bigint[], ${rejects.map((each) => each.scope)}::text[],
      ${rejects.map((each) => each.column ?? null)}::text[], ${rejects.map((each) => each.code)}::text[],
      ${rejects.map((each) => each.message)}::text[], ${rejects.map((each) => storable(each.raw))}::text[]) AS r`);
}

// PostgreSQL text holds no NUL; the row may have been rejected for having one.
function storable(raw: string | undefined): string | null {
  return raw === undefined ? null : raw.replaceAll('\0', '\u2400');
}

/** Forgets what earlier stagings of a file found. */
export async function clearRejects(executor: Executor, fileId: string): Promise<void> {
  await executor.query(sql`DELETE FROM importer.reject WHERE file_id = ${fileId}`);
}

export interface StoredReject extends Reject {
  /** Position in the list, for reading on. */
  readonly id: string;
  readonly name: string;
}

/** Rejects of a run in file and line order, at most `limit` after the one with id `after`. Raw rows only if asked for. */
export async function runRejects(
  executor: Executor,
  runId: string,
  options: {
    readonly limit: number;
    readonly after?: string;
    readonly raw?: boolean;
    /** Only of this goal of the run. */
    readonly goal?: string | undefined;
  },
): Promise<readonly StoredReject[]> {
  const { rows } = await executor.query<{
    id: string;
    name: string;
    line: number;
    scope: StoredReject['scope'];
    column_name: string | null;
    code: string;
    message: string;
    raw: string | null;
  }>(sql`
    SELECT r.id, r.name, r.line::float8 AS line, r.scope, r.column_name, r.code, r.message, ${options.raw === true ? sql`r.raw` : sql`NULL AS raw`}
    FROM importer.reject r JOIN importer.file f ON f.id = r.file_id AND f.reject_stage = r.stage_number
    WHERE f.run_id = ${runId} AND r.fixed_at IS NULL AND r.id > ${options.after ?? '0'}::bigint
      ${options.goal === undefined ? sql.empty : sql`AND f.goal_id = ${options.goal}`}
    ORDER BY r.id LIMIT ${options.limit}`);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    line: row.line,
    scope: row.scope,
    column: row.column_name ?? undefined,
    code: row.code,
    message: row.message,
    raw: row.raw ?? undefined,
  }));
}

export interface RejectGroup {
  readonly name: string;
  readonly scope: 'row' | 'field';
  readonly column: string | undefined;
  readonly code: string;
  readonly message: string;
  readonly count: number;
  readonly firstLine: number;
}

/** What was rejected in a file, by reason, the most frequent first. */
export async function rejectGroups(executor: Executor, fileId: string, limit: number): Promise<readonly RejectGroup[]> {
  const { rows } = await executor.query<
    Omit<RejectGroup, 'column' | 'firstLine'> & { column_name: string | null; first_line: number }
  >(sql`
    SELECT r.name, r.scope, r.column_name, r.code, r.message, count(*)::float8 AS count, min(r.line)::float8 AS first_line
    FROM importer.reject r JOIN importer.file f ON f.id = r.file_id AND f.reject_stage = r.stage_number
    WHERE r.file_id = ${fileId} AND r.scope IN ('row', 'field')
    GROUP BY 1, 2, 3, 4, 5 ORDER BY count(*) DESC, min(r.line) LIMIT ${limit}`);
  return rows.map(({ column_name, first_line, ...group }) => ({
    ...group,
    column: column_name ?? undefined,
    firstLine: first_line,
  }));
}

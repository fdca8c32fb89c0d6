import { sql, type Executor, type Transaction } from '@millrace/database';
import { importCounts, type ImportCounts } from '@millrace/domain';
import type { Rehearsal } from './rehearsals.js';
import type { FileSet } from '../select-files/group-file-sets.js';

/** One object of a set as it was listed. */
export interface ListedObject {
  readonly key: string;
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
  /** What a manifest says of it, as far as its dialect goes: rows, bytes, and SHA-256 in hex of the bytes as stored. */
  readonly expected?:
    | {
        readonly manifest: string;
        readonly rows?: number | undefined;
        readonly bytes?: number | undefined;
        readonly sha256?: string | undefined;
      }
    | undefined;
}

export type FileState = 'listed' | 'staged' | 'planned' | 'applied' | 'finished' | 'skipped' | 'abandoned';

/** How far the import of one set has come: a row of importer.file. */
export interface ImportFile {
  readonly id: string;
  readonly runId: string;
  readonly bucket: string;
  readonly root: ListedObject;
  /** When the root object was written, by the clock of its store. */
  readonly lastModified: Date;
  readonly members: readonly (ListedObject & { readonly alias: string })[];
  readonly setHash: string;
  readonly configHash: string;
  readonly state: FileState;
  readonly stage: string | undefined;
  readonly plan: string | undefined;
  readonly chunks: number | undefined;
  readonly chunkLines: number | undefined;
  readonly counts: ImportCounts;
  /** When it was first listed; stays when a later run takes the file over. */
  readonly listedAt: Date;
}

interface FileRow {
  readonly id: string;
  readonly run_id: string;
  readonly bucket: string;
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly last_modified: Date;
  readonly members: string;
  readonly expected: string | null;
  readonly set_hash: string;
  readonly config_hash: string;
  readonly state: FileState;
  readonly stage_number: string | null;
  readonly plan_number: string | null;
  readonly chunk_count: number | null;
  readonly chunk_lines: number | null;
  readonly counts: string;
  readonly created_at: Date;
}

const columns = sql`id, run_id, bucket, key, etag, size::float8 AS size, last_modified, members, expected, set_hash, config_hash, state,
  stage_number, plan_number, chunk_count, chunk_lines, counts, created_at`;

function toFile(row: FileRow): ImportFile {
  return {
    id: row.id,
    runId: row.run_id,
    bucket: row.bucket,
    root: {
      key: row.key,
      etag: row.etag,
      size: row.size,
      ...(row.expected === null ? {} : { expected: JSON.parse(row.expected) as ListedObject['expected'] }),
    },
    lastModified: row.last_modified,
    members: JSON.parse(row.members) as ImportFile['members'],
    setHash: row.set_hash,
    configHash: row.config_hash,
    state: row.state,
    stage: row.stage_number ?? undefined,
    plan: row.plan_number ?? undefined,
    chunks: row.chunk_count ?? undefined,
    chunkLines: row.chunk_lines ?? undefined,
    counts: importCounts.parse(JSON.parse(row.counts)),
    listedAt: row.created_at,
  };
}

export interface GoalRun {
  readonly runId: string;
  readonly goalId: string;
  readonly unitId: string;
}

/** The files of a goal's run in the order in which they are taken; empty before the source was listed. */
export async function runFiles(executor: Executor, run: Omit<GoalRun, 'unitId'>): Promise<readonly ImportFile[]> {
  const { rows } = await executor.query<FileRow>(
    sql`SELECT ${columns} FROM importer.file WHERE run_id = ${run.runId} AND goal_id = ${run.goalId} ORDER BY position, id`,
  );
  return rows.map(toFile);
}

/** The file, kept from others until the transaction ends. */
export async function lockFile(tx: Transaction, id: string): Promise<ImportFile> {
  const { rows } = await tx.query<FileRow>(sql`SELECT ${columns} FROM importer.file WHERE id = ${id} FOR UPDATE`);
  const [row] = rows;
  if (row === undefined) throw new Error(`file ${id} is gone`);
  return toFile(row);
}

export interface NewFile {
  readonly set: FileSet;
  readonly setHash: string;
  readonly configHash: string;
  readonly state: 'listed' | 'skipped';
}

/** Writes down what was listed: from here on the run takes these objects and no others. */
export async function insertFile(
  tx: Transaction,
  run: GoalRun,
  bucket: string,
  position: number,
  file: NewFile,
): Promise<void> {
  const { root, linked } = file.set;
  const members = linked.map(({ alias, object }) => ({
    alias,
    key: object.key,
    etag: object.etag,
    size: object.size,
    expected: object.expected,
  }));
  const expected = root.expected === undefined ? null : JSON.stringify(root.expected);
  const counts: Partial<ImportCounts> = file.state === 'skipped' ? { filesSkipped: 1 } : {};
  await tx.query(sql`
    INSERT INTO importer.file (run_id, goal_id, unit_id, position, bucket, key, etag, size, last_modified, members, expected, set_hash, config_hash, state, counts)
    VALUES (${run.runId}, ${run.goalId}, ${run.unitId}, ${position}, ${bucket}, ${root.key}, ${root.etag}, ${root.size}, ${root.lastModified},
      ${JSON.stringify(members)}, ${expected}::jsonb, ${file.setHash}, ${file.configHash}, ${file.state}, ${JSON.stringify(counts)})`);
}

/**
 * Takes over a set that an ended run of the same goal has applied in part, plan and applied chunks included, so that
 * what was added once is not added again. Returns the run that began it, or undefined where there is none.
 */
export async function adoptUnfinished(
  tx: Transaction,
  run: GoalRun,
  position: number,
  file: Pick<NewFile, 'setHash' | 'configHash'>,
): Promise<string | undefined> {
  const { rows } = await tx.query<{ run_id: string }>(sql`
    UPDATE importer.file AS f SET run_id = ${run.runId}, unit_id = ${run.unitId}, position = ${position}, state = 'planned', updated_at = now()
    FROM (
      SELECT id, run_id FROM importer.file
      WHERE goal_id = ${run.goalId} AND set_hash = ${file.setHash} AND config_hash = ${file.configHash} AND run_id <> ${run.runId}
        AND state IN ('planned', 'abandoned') AND plan_number IS NOT NULL
        AND EXISTS (SELECT FROM importer.chunk c WHERE c.file_id = importer.file.id)
        AND NOT EXISTS (SELECT FROM work.unit u WHERE u.id = unit_id AND u.state IN ('ready', 'running'))
      ORDER BY id DESC LIMIT 1 FOR UPDATE
    ) AS begun
    WHERE f.id = begun.id
    RETURNING begun.run_id`);
  return rows[0]?.run_id;
}

/** Which state a file has reached, and what belongs to it. Left out means unchanged; null empties. */
export interface FileChange {
  readonly state?: FileState;
  readonly stage?: string | null;
  readonly plan?: string | null;
  readonly chunks?: number;
  readonly chunkLines?: number;
  readonly counts?: ImportCounts;
  readonly rehearsal?: Rehearsal;
}

export async function updateFile(executor: Executor, id: string, change: FileChange): Promise<void> {
  const assignments = [
    sql`updated_at = now()`,
    ...(change.state === undefined ? [] : [sql`state = ${change.state}`]),
    ...(change.stage === undefined ? [] : [sql`stage_number = ${change.stage}::bigint`]),
    // Rejects outlive the tables of the staging that found them.
    ...(typeof change.stage === 'string' ? [sql`reject_stage = ${change.stage}::bigint`] : []),
    ...(change.plan === undefined ? [] : [sql`plan_number = ${change.plan}::bigint`]),
    ...(change.chunks === undefined ? [] : [sql`chunk_count = ${change.chunks}`]),
    ...(change.chunkLines === undefined ? [] : [sql`chunk_lines = ${change.chunkLines}`]),
    ...(change.rehearsal === undefined ? [] : [sql`rehearsal = ${JSON.stringify(change.rehearsal)}::jsonb`]),
    ...(change.counts === undefined ? [] : [sql`counts = ${JSON.stringify(change.counts)}::jsonb`]),
  ];
  await executor.query(sql`UPDATE importer.file SET ${sql.join(assignments)} WHERE id = ${id}`);
}

/**
 * Gives up what a failed or cancelled run left unfinished. A plan of which chunks are applied is kept for the next run to
 * go on with. Returns the numbers of the tables nobody needs any more.
 */
export async function abandonFiles(
  tx: Transaction,
  run: Omit<GoalRun, 'unitId'>,
): Promise<{ readonly stages: readonly string[]; readonly plans: readonly string[] }> {
  const { rows } = await tx.query<{ stage: string | null; plan: string | null }>(sql`
    UPDATE importer.file AS f SET state = 'abandoned', updated_at = now(), stage_number = NULL,
      plan_number = CASE WHEN EXISTS (SELECT FROM importer.chunk c WHERE c.file_id = f.id) THEN plan_number END
    WHERE run_id = ${run.runId} AND goal_id = ${run.goalId} AND state IN ('listed', 'staged', 'planned')
    RETURNING old.stage_number AS stage, CASE WHEN new.plan_number IS NULL THEN old.plan_number END AS plan`);
  const present = (numbers: readonly (string | null)[]): string[] => numbers.filter((number) => number !== null);
  return { stages: present(rows.map((row) => row.stage)), plans: present(rows.map((row) => row.plan)) };
}

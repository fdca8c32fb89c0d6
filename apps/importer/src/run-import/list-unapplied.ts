import { sql } from '@millrace/database';
import { InputError, TransientError, type ImportCounts } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import { otherUnitLines, unmatchedLines, type MergeShape } from '@millrace/profile-store';
import { rootAlias } from '../link-files/plan-links.js';
import { openTable } from '../stage-file/open-table.js';
import { rawRow } from '../stage-file/raw-row.js';
import type { ImportFile } from '../storage/files.js';
import { insertRejects, type Reject } from '../storage/rejects.js';
import type { ImportJob } from './import-job.js';

const listedAtOnce = 1000;

/** Why a row is rejected whose profile is another organizational unit's. */
export const otherUnit = {
  code: 'other-unit',
  message: 'the profile is not of the organizational unit of the connection, or the row would move it out',
} as const;

/** What is said of a line. */
type Verdict = Omit<Reject, 'line' | 'raw'>;

/**
 * Adds the rows that match nobody, or are of another organizational unit, to the list of rejects, as they stand in the file: whoever
 * looks after the data wants to see them, and may send them again. Who they are is known only when all is applied, so the file is
 * read once more, as far as the last of them. Done again after a crash, it begins anew.
 */
export async function listUnapplied(
  job: ImportJob,
  file: ImportFile,
  shape: MergeShape,
  { skipped }: ImportCounts,
): Promise<void> {
  const { database, context, settings } = job;
  if (file.stage === undefined || (shape.unit === undefined && (skipped.unmatched ?? 0) === 0)) return;
  const origin = { fileId: file.id, stage: file.stage, alias: rootAlias, name: file.root.key };
  const verdicts = new Map<number, Verdict>();
  for (const line of await unmatchedLines(database, shape, settings.maxStoredRejects))
    verdicts.set(line, unmatched(job));
  if (shape.unit !== undefined) {
    const column = job.goal.mappings.find(({ property }) => property === shape.unit?.property)?.column;
    for (const line of await otherUnitLines(database, shape, settings.maxStoredRejects))
      verdicts.set(line, { scope: 'row', column, ...otherUnit });
  }
  const store = async (rows: readonly Reject[]): Promise<void> =>
    database.transaction(async (tx) => {
      await beginUnderLease(tx, context.lease);
      await insertRejects(tx, origin, rows);
    });
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    await tx.query(sql`
      DELETE FROM importer.reject WHERE file_id = ${file.id}::bigint
        AND (scope = 'unmatched' OR (${shape.unit !== undefined}::boolean AND code = ${otherUnit.code}))`);
  });
  try {
    for await (const batch of rawRows(job, file, verdicts)) await store(batch);
  } catch (error) {
    // All of it is applied by now: that the file cannot be read again takes nothing back.
    if (!(error instanceof InputError) && !(error instanceof TransientError)) throw error;
    const message = `${file.root.key}: rows that were not applied are listed without their content: ${error.message}`;
    await job.progress.note(database, 'warn', message, file.root.key);
  }
  const unread = [...verdicts].map(([line, verdict]): Reject => ({ line, ...verdict, raw: undefined }));
  for (let at = 0; at < unread.length; at += listedAtOnce) await store(unread.slice(at, at + listedAtOnce));
}

function unmatched({ groupTypeId }: Pick<ImportJob, 'groupTypeId'>): Verdict {
  const message =
    groupTypeId === undefined
      ? 'no profile has the identifiers of the row, and none may be created'
      : 'no group has the key of the row, and none may be made';
  return { scope: 'unmatched', column: undefined, code: 'unmatched', message };
}

/** The rows of the lines, in batches; each is taken from `verdicts` when it is found. */
async function* rawRows(
  job: ImportJob,
  file: ImportFile,
  verdicts: Map<number, Verdict>,
): AsyncGenerator<readonly Reject[]> {
  const { store, goal, links, pgp, settings, context } = job;
  const [root] = links;
  if (root === undefined || verdicts.size === 0) return;
  const { maxPlainBytes } = settings;
  const source = { store, bucket: goal.source.bucket, object: file.root, dialect: root.dialect, pgp };
  const limits = { maxPlainBytes, recordLimits: settings, signal: context.signal, onBytes: () => undefined };
  const table = await openTable({ ...source, ...limits });
  const toRaw = rawRow(root.dialect);
  try {
    for await (const { rows } of table.batches) {
      const found: Reject[] = [];
      for (const row of rows) {
        const verdict = row.kind === 'row' ? verdicts.get(row.line) : undefined;
        if (row.kind !== 'row' || verdict === undefined) continue;
        verdicts.delete(row.line);
        found.push({ line: row.line, ...verdict, raw: toRaw(row) });
      }
      if (found.length > 0) yield found;
      if (verdicts.size === 0) return;
    }
  } finally {
    table.close();
  }
}

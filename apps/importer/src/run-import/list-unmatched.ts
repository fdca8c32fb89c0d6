import { sql } from '@millrace/database';
import { InputError, TransientError } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import { unmatchedLines, type MergeShape } from '@millrace/profile-store';
import { rootAlias } from '../link-files/plan-links.js';
import { openTable } from '../stage-file/open-table.js';
import { rawRow } from '../stage-file/raw-row.js';
import type { ImportFile } from '../storage/files.js';
import { insertRejects, type Reject } from '../storage/rejects.js';
import type { ImportJob } from './import-job.js';

const listedAtOnce = 1000;

/**
 * Adds the rows that match nobody to the list of rejects, as they stand in the file: counted as skipped, but whoever looks after
 * the data wants to see them, and may send them again once they match. Who they are is known only when all is applied, so the file is
 * read once more, as far as the last of them. Done again after a crash, it begins anew.
 */
export async function listUnmatched(job: ImportJob, file: ImportFile, shape: MergeShape): Promise<void> {
  const { database, context, settings } = job;
  if (file.stage === undefined) return;
  const origin = { fileId: file.id, stage: file.stage, alias: rootAlias, name: file.root.key };
  const lines = new Set(await unmatchedLines(database, shape, settings.maxStoredRejects));
  const store = async (rows: readonly Reject[]): Promise<void> =>
    database.transaction(async (tx) => {
      await beginUnderLease(tx, context.lease);
      await insertRejects(tx, origin, rows);
    });
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    await tx.query(sql`DELETE FROM importer.reject WHERE file_id = ${file.id}::bigint AND scope = 'unmatched'`);
  });
  try {
    for await (const batch of rawRows(job, file, lines)) await store(batch);
  } catch (error) {
    // All of it is applied by now: that the file cannot be read again takes nothing back.
    if (!(error instanceof InputError) && !(error instanceof TransientError)) throw error;
    const message = `${file.root.key}: rows that match nobody are listed without their content: ${error.message}`;
    await job.progress.note(database, 'warn', message, file.root.key);
  }
  const unread = [...lines].map((line) => unmatched(job, line, undefined));
  for (let at = 0; at < unread.length; at += listedAtOnce) await store(unread.slice(at, at + listedAtOnce));
}

function unmatched({ groupTypeId }: Pick<ImportJob, 'groupTypeId'>, line: number, raw: string | undefined): Reject {
  const message =
    groupTypeId === undefined
      ? 'no profile has the identifiers of the row, and none may be created'
      : 'no group has the key of the row, and none may be made';
  return { line, scope: 'unmatched', column: undefined, code: 'unmatched', message, raw };
}

/** The rows of the lines, in batches; each is taken from `lines` when it is found. */
async function* rawRows(job: ImportJob, file: ImportFile, lines: Set<number>): AsyncGenerator<readonly Reject[]> {
  const { store, goal, links, pgp, settings, context } = job;
  const [root] = links;
  if (root === undefined || lines.size === 0) return;
  const { maxPlainBytes } = settings;
  const source = { store, bucket: goal.source.bucket, object: file.root, dialect: root.dialect, pgp };
  const limits = { maxPlainBytes, recordLimits: settings, signal: context.signal, onBytes: () => undefined };
  const table = await openTable({ ...source, ...limits });
  const toRaw = rawRow(root.dialect);
  try {
    for await (const { rows } of table.batches) {
      const found: Reject[] = [];
      for (const row of rows)
        if (row.kind === 'row' && lines.delete(row.line)) found.push(unmatched(job, row.line, toRaw(row)));
      if (found.length > 0) yield found;
      if (lines.size === 0) return;
    }
  } finally {
    table.close();
  }
}

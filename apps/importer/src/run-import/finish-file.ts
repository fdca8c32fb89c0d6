import type { Executor, Transaction } from '@millrace/database';
import { InputError, TransientError, type ImportCounts } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import { ambiguousRows, type MergeShape } from '@millrace/profile-store';
import { rootAlias } from '../link-files/plan-links.js';
import { appliedChunks } from '../storage/chunks.js';
import { runFiles, updateFile, type ImportFile, type ListedObject } from '../storage/files.js';
import { recordImport } from '../storage/ledger.js';
import { insertRejects, rejectGroups, type Reject } from '../storage/rejects.js';
import { dropTables } from '../storage/staging-tables.js';
import { assertBalanced } from './counts.js';
import type { ImportJob } from './import-job.js';

/**
 * Everything is applied: enters the file into the ledger. From here on it is imported, whatever becomes of the
 * source object: were the mark set first and refused, the next run would import, and add its sums, again.
 */
export async function enterLedger(
  job: ImportJob,
  file: ImportFile,
  shape: MergeShape,
  counts: ImportCounts,
): Promise<void> {
  assertBalanced(counts);
  await job.database.transaction(async (tx) => {
    await beginUnderLease(tx, job.context.lease);
    await updateFile(tx, file.id, { state: 'applied', counts });
    await recordImport(tx, job.unit.goalId, file);
    await noteRejects(tx, job, file);
    await noteUnapplied(tx, job, file, counts);
    if (counts.ambiguous > 0) await listAmbiguous(tx, job, file, shape);
  });
}

const listedAtOnce = 5000;

/** Adds the ambiguous rows to the list of rejects, with the profiles they find: ids, which are no personal data. */
async function listAmbiguous(tx: Transaction, job: ImportJob, file: ImportFile, shape: MergeShape): Promise<void> {
  if (file.stage === undefined) return;
  const origin = { fileId: file.id, stage: file.stage, alias: rootAlias, name: file.root.key };
  const rows = await ambiguousRows(tx, shape, job.settings.maxStoredRejects);
  const rejects = rows.map(({ line, reason, profileIds }): Reject => {
    const message =
      reason === 'two-profiles'
        ? `the row, or rows with a common identifier, find several profiles: ${profileIds.join(', ')}`
        : `more than ${shape.maxComponentRows} rows are tied together by common identifiers`;
    return { line, scope: 'ambiguous', column: undefined, code: `ambiguous-${reason}`, message, raw: undefined };
  });
  for (let at = 0; at < rejects.length; at += listedAtOnce)
    await insertRejects(tx, origin, rejects.slice(at, at + listedAtOnce));
}

async function noteUnapplied(
  tx: Transaction,
  { progress }: ImportJob,
  file: ImportFile,
  counts: ImportCounts,
): Promise<void> {
  const note = (message: string): Promise<void> =>
    progress.note(tx, 'warn', `${file.root.key}: ${message}`, file.root.key);
  if (counts.ambiguous > 0) {
    const rows = counts.ambiguous === 1 ? '1 row matches' : `${counts.ambiguous} rows match`;
    await note(
      `${rows} several profiles, directly or through rows with a common identifier: not applied, see the list of rejects`,
    );
  }
  const { erased = 0 } = counts.skipped;
  if (erased > 0) {
    const rows = erased === 1 ? '1 row names a person' : `${erased} rows name persons`;
    await note(
      `${rows} erased after it was written: not applied; what is newer than the erasure brings a person back, or \`erasedProfiles\` of the goal`,
    );
  }
  const chunks = await appliedChunks(tx, file.id);
  const foreign = chunks.reduce((sum, chunk) => sum + chunk.counts.eventsConflicting, 0);
  if (foreign === 1) await note('1 event has an id that belongs to an event of another profile: not written');
  if (foreign > 1) await note(`${foreign} events have ids that belong to events of other profiles: not written`);
}

/** Marks or deletes the source, then forgets the tables. Done again after a crash in its middle, it finishes the rest. */
export async function finishFile(job: ImportJob, file: ImportFile): Promise<void> {
  const { database, context } = job;
  if (job.goal.afterImport !== 'leave') await putAway(job, file);
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    await updateFile(tx, file.id, { state: 'finished', stage: null, plan: null });
  });
  if (file.stage !== undefined) await dropTables(database, 'stage', file.stage);
  if (file.plan !== undefined) await dropTables(database, 'plan', file.plan);
}

async function putAway(job: ImportJob, file: ImportFile): Promise<void> {
  const others = (await runFiles(job.database, job.unit)).filter(
    (other) => other.id !== file.id && ['listed', 'staged', 'planned', 'applied'].includes(other.state),
  );
  // A linked file may serve several roots: the last of them puts it away.
  const stillNeeded = new Set(others.flatMap((other) => other.members.map((member) => member.key)));
  for (const object of [file.root, ...file.members]) {
    if (stillNeeded.has(object.key)) continue;
    try {
      await putAwayObject(job, file.bucket, object);
    } catch (error) {
      if (!(error instanceof InputError) && !(error instanceof TransientError && job.context.lastAttempt)) throw error;
      const message = `${object.key} is imported, but could not be ${job.goal.afterImport === 'delete' ? 'deleted' : 'marked as done'}: ${error.message}`;
      await job.progress.note(job.database, 'warn', message, object.key);
      job.events.sourceKept({ runId: job.unit.runId, key: object.key, error });
    }
  }
}

async function putAwayObject({ store, goal }: ImportJob, bucket: string, object: ListedObject): Promise<void> {
  if (goal.afterImport === 'done-suffix') return store.copyDone(bucket, object.key, object.etag);
  const present = await store.head(bucket, object.key);
  if (present === undefined) return;
  if (present.etag !== object.etag)
    throw new InputError('object-changed', `${object.key} was replaced during the import`, { at: object.key });
  return store.delete(bucket, object.key);
}

const notedGroups = 20;

/** Tells why rows were rejected: reasons with counts and the first line of each, no content. */
export async function noteRejects(
  executor: Executor,
  { progress }: Pick<ImportJob, 'progress'>,
  file: ImportFile,
): Promise<void> {
  for (const group of await rejectGroups(executor, file.id, notedGroups)) {
    const what = group.scope === 'row' ? (group.count === 1 ? 'row' : 'rows') : group.count === 1 ? 'field' : 'fields';
    const where = group.column === undefined ? '' : `, column ${JSON.stringify(group.column)}`;
    const first = group.count === 1 ? `line ${group.firstLine}` : `first in line ${group.firstLine}`;
    await progress.note(
      executor,
      'warn',
      `${group.name}: ${group.count} ${what} rejected (${first}${where}): ${group.message}`,
      `${group.name}:${group.firstLine}${group.column === undefined ? '' : `:${group.column}`}`,
    );
  }
}

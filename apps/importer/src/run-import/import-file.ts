import { InputError, type ImportCounts } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import { indexStaging, resolveRows } from '@millrace/profile-store';
import { updateFile, type ImportFile } from '../storage/files.js';
import { nextTableNumber, stagingHolds } from '../storage/staging-tables.js';
import { applyPlan } from './apply-chunks.js';
import { plannedCounts, stagedRows } from './counts.js';
import { enterLedger, finishFile } from './finish-file.js';
import { mergeShape, type ImportJob, type NumberedTables } from './import-job.js';
import { listUnapplied } from './list-unapplied.js';
import { stageSet } from './stage-set.js';

/**
 * Brings a file from wherever it stands to its end: listed -> staged -> planned -> applied -> finished. Every arrow is a
 * commit, so a run that goes on after a crash begins at the last one reached. Resolves with the file's counts.
 * @param soFar counts of the run before this file
 */
export async function importFile(job: ImportJob, file: ImportFile, soFar: ImportCounts): Promise<ImportCounts> {
  switch (file.state) {
    case 'listed':
      return importFile(job, await stage(job, file, soFar), soFar);
    case 'staged':
      if (await holds(job, file)) return importFile(job, await plan(job, file), soFar);
      return importFile(job, { ...file, state: 'listed' }, soFar);
    case 'planned':
      return importFile(
        job,
        await apply(job, (await holds(job, file)) ? file : await stageAgain(job, file, soFar), soFar),
        soFar,
      );
    case 'applied':
      await finishFile(job, file);
      return file.counts;
    case 'finished':
    case 'skipped':
      return file.counts;
    case 'abandoned':
      throw new Error(`the import of ${file.root.key} was given up`);
  }
}

async function holds({ database, events, unit }: ImportJob, file: ImportFile): Promise<boolean> {
  if (file.stage === undefined) return false;
  const held = await stagingHolds(database, file.stage, stagedRows(file.counts));
  if (!held) events.stagingLost({ runId: unit.runId, key: file.root.key });
  return held;
}

async function stage(job: ImportJob, file: ImportFile, soFar: ImportCounts): Promise<ImportFile> {
  const startedAt = performance.now();
  const { stage: number, counts } = await stageSet(job, file, soFar);
  const staged: ImportFile = { ...file, state: 'staged', stage: number, counts };
  await job.database.transaction(async (tx) => {
    await beginUnderLease(tx, job.context.lease);
    await updateFile(tx, file.id, { state: 'staged', counts });
  });
  job.events.fileStaged({
    runId: job.unit.runId,
    key: file.root.key,
    rowsRead: counts.rowsRead,
    rejected: counts.rejected,
    linkedRows: counts.linkedRowsRead,
    bytes: counts.bytes,
    elapsedMs: Math.round(performance.now() - startedAt),
  });
  return staged;
}

/** Stages the identical object beside its frozen plan, which knows rows by their lines. */
async function stageAgain(job: ImportJob, file: ImportFile, soFar: ImportCounts): Promise<ImportFile> {
  const { stage: number, counts } = await stageSet(job, file, soFar);
  if (counts.rowsRead !== file.counts.rowsRead || stagedRows(counts) !== stagedRows(file.counts)) {
    throw new InputError(
      'staging-differs',
      `${file.root.key} gives ${stagedRows(counts)} rows now, and gave ${stagedRows(file.counts)} when its import was planned: ` +
        'a definition of the workspace must have changed meanwhile; undo that change, or start a new run',
      { at: file.root.key },
    );
  }
  const staged: ImportFile = { ...file, stage: number };
  const shape = mergeShape(job, numbersOf(staged));
  await job.database.transaction(async (tx) => {
    await beginUnderLease(tx, job.context.lease);
    await indexStaging(tx, shape);
  });
  return staged;
}

async function plan(job: ImportJob, file: ImportFile): Promise<ImportFile> {
  const { database, context, settings, events, unit } = job;
  const startedAt = performance.now();
  const number = await nextTableNumber(database);
  const planned: ImportFile = { ...file, state: 'planned', plan: number, chunkLines: settings.chunkLines };
  const shape = mergeShape(job, numbersOf(planned));
  context.signal.throwIfAborted();
  // The table's number, the plan itself and the state it gives the file: all in one commit.
  const summary = await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    const resolved = await resolveRows(tx, shape, database);
    await updateFile(tx, file.id, {
      state: 'planned',
      plan: number,
      chunks: resolved.chunks,
      chunkLines: settings.chunkLines,
      counts: plannedCounts(file.counts, resolved),
    });
    return resolved;
  });
  events.filePlanned({
    runId: unit.runId,
    key: file.root.key,
    chunks: summary.chunks,
    elapsedMs: Math.round(performance.now() - startedAt),
  });
  return { ...planned, chunks: summary.chunks, counts: plannedCounts(file.counts, summary) };
}

async function apply(job: ImportJob, file: ImportFile, soFar: ImportCounts): Promise<ImportFile> {
  const startedAt = performance.now();
  const shape = mergeShape(job, numbersOf(file));
  const counts = await applyPlan(job, file, shape, soFar);
  await listUnapplied(job, file, shape, counts);
  await enterLedger(job, file, shape, counts);
  job.events.fileFinished({
    runId: job.unit.runId,
    key: file.root.key,
    counts,
    elapsedMs: Math.round(performance.now() - startedAt),
  });
  return { ...file, state: 'applied', counts };
}

function numbersOf(file: ImportFile): NumberedTables {
  if (file.stage === undefined || file.plan === undefined || file.chunkLines === undefined)
    throw new Error(`${file.root.key} is not planned`);
  return { stage: file.stage, plan: file.plan, chunkLines: file.chunkLines, writtenAt: file.lastModified };
}

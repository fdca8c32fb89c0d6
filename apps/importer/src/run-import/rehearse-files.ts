import { sql, type Database, type Transaction } from '@millrace/database';
import type { ImportCounts, RehearsalSample } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import { resolveRows, type ChunkCounts, type MergeShape, type MovedCounts } from '@millrace/profile-store';
import { updateFile, type ImportFile } from '../storage/files.js';
import { dropTables, nextTableNumber } from '../storage/staging-tables.js';
import { addCounts, appliedCounts, assertBalanced, noCounts, plannedCounts } from './counts.js';
import { noteRejects } from './finish-file.js';
import { mergeShape, type ImportJob } from './import-job.js';
import { rehearseChunk, sampleUnapplied, samplesPerOutcome, type RehearsedChunk } from './rehearse-chunk.js';
import { stageSet } from './stage-set.js';

/** So few rows are rehearsed in one transaction, each file after the effects of those before it. */
const rowsInOneTransaction = 50_000;

const order: readonly RehearsalSample['outcome'][] = [
  'created',
  'updated',
  'cleared',
  'unchanged',
  'erased',
  'unmatched',
  'withheld',
  'ambiguous',
];

/** Where the steps of a rehearsal take place. */
interface Stage {
  readonly plan: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>;
  readonly chunk: <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>;
}

interface Rehearsed {
  readonly file: ImportFile;
  readonly counts: ImportCounts;
  readonly profilesCleared: number;
  readonly samples: readonly RehearsalSample[];
}

/**
 * A dry run: stages, resolves and applies the files as an import does, counts, and rolls back, so that its counts are those
 * of the import by construction. No ledger line, no mark on the source, no table stays. Small runs take one transaction, in
 * which a file sees the effects of those before it; large ones a transaction per chunk, so that no writer waits long for
 * the rows it holds, and each file is judged by what is stored now.
 */
export async function rehearseFiles(job: ImportJob, files: readonly ImportFile[]): Promise<ImportCounts> {
  const { database, context, progress } = job;
  const known = files.filter(({ state }) => state === 'skipped' || state === 'finished');
  const staged: ImportFile[] = [];
  for (const file of files.filter((each) => !known.includes(each))) {
    context.signal.throwIfAborted();
    const { stage, counts } = await stageSet(job, file, noCounts);
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, context.lease);
      await updateFile(tx, file.id, { state: 'staged', counts });
    });
    staged.push({ ...file, state: 'staged', stage, counts });
  }
  const rows = staged.reduce((sum, { counts }) => sum + counts.rowsRead, 0);
  const together = rows <= (job.settings.rowsRehearsedTogether ?? rowsInOneTransaction);
  if (!together && staged.length > 1)
    await progress.note(
      database,
      'info',
      'each file is judged by what is stored now, as if the others were not imported',
    );
  const rehearsed = together
    ? await underLeaseRolledBack(job, (tx) => rehearseAll(job, staged, () => inside(tx)))
    : await rehearseAll(job, staged, (file, plan) => inTransactionsOfTheirOwn(job, file, plan));
  for (const each of rehearsed) await finish(job, each);
  return [...known, ...rehearsed].reduce((total, { counts }) => addCounts(total, counts), noCounts);
}

async function rehearseAll(
  job: ImportJob,
  files: readonly ImportFile[],
  stageOf: (file: ImportFile, plan: string) => Stage,
): Promise<readonly Rehearsed[]> {
  const rehearsed: Rehearsed[] = [];
  for (const file of files) {
    const plan = await nextTableNumber(job.database);
    rehearsed.push(await rehearse(job, { ...file, plan }, plan, stageOf(file, plan)));
  }
  return rehearsed;
}

function inside(tx: Transaction): Stage {
  return { plan: (work) => work(tx), chunk: (work) => work(tx) };
}

function inTransactionsOfTheirOwn(job: ImportJob, file: ImportFile, plan: string): Stage {
  return {
    plan: (work) =>
      job.database.transaction(async (tx) => {
        await beginUnderLease(tx, job.context.lease);
        await updateFile(tx, file.id, { plan });
        return work(tx);
      }),
    chunk: (work) => underLeaseRolledBack(job, work),
  };
}

async function rehearse(job: ImportJob, file: ImportFile, plan: string, stage: Stage): Promise<Rehearsed> {
  const { context, settings } = job;
  const { stage: staged, lastModified: writtenAt } = file;
  const shape: MergeShape = mergeShape(job, { stage: staged!, plan, chunkLines: settings.chunkLines, writtenAt });
  const { summary, unapplied } = await stage.plan(async (tx) => {
    // The one table that resolving leaves to the transaction's end, which here comes later.
    await tx.query(sql`DROP TABLE IF EXISTS resolve_first`);
    return { summary: await resolveRows(tx, shape), unapplied: await sampleUnapplied(tx, shape) };
  });
  const counts: (ChunkCounts | MovedCounts)[] = [];
  const samples: RehearsalSample[] = [...unapplied];
  let profilesCleared = 0;
  for (let chunk = 0; chunk < summary.chunks; chunk += 1) {
    context.signal.throwIfAborted();
    const done: RehearsedChunk = await stage.chunk((tx) => rehearseChunk(tx, shape, chunk, summary.chunks));
    counts.push(...done.counts);
    profilesCleared += done.profilesCleared;
    for (const sample of done.samples) {
      if (samples.filter(({ outcome }) => outcome === sample.outcome).length < samplesPerOutcome) samples.push(sample);
    }
  }
  const total = appliedCounts(plannedCounts(file.counts, summary), counts);
  assertBalanced(total);
  samples.sort((left, right) => order.indexOf(left.outcome) - order.indexOf(right.outcome) || left.line - right.line);
  return { file, counts: total, profilesCleared, samples };
}

async function finish(job: ImportJob, { file, counts, profilesCleared, samples }: Rehearsed): Promise<void> {
  const { database, context } = job;
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    const rehearsal = { profilesCleared, samples };
    await updateFile(tx, file.id, { state: 'finished', stage: null, plan: null, counts, rehearsal });
    await noteRejects(tx, job, file);
  });
  if (file.stage !== undefined) await dropTables(database, 'stage', file.stage);
  if (file.plan !== undefined) await dropTables(database, 'plan', file.plan);
}

async function underLeaseRolledBack<T>(
  { database, context }: { readonly database: Database; readonly context: ImportJob['context'] },
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const undone = new Error('a rehearsal is always rolled back');
  let result: { readonly value: T } | undefined;
  try {
    await database.transaction(async (tx) => {
      await beginUnderLease(tx, context.lease);
      result = { value: await work(tx) };
      throw undone;
    });
  } catch (error) {
    if (error !== undone) throw error;
  }
  return (result as unknown as { value: T }).value;
}

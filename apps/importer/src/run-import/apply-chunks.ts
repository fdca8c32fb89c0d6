import type { ImportCounts } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import {
  applyChunk,
  applyMoved,
  recentProfiles,
  type ChunkCounts,
  type MergeShape,
  type MovedCounts,
} from '@millrace/profile-store';
import type { ImportFile } from '../storage/files.js';
import { appliedChunks, recordChunk, type AppliedChunk } from '../storage/chunks.js';
import { addCounts, appliedCounts, type CountedChunk } from './counts.js';
import type { ImportJob } from './import-job.js';

// Each round takes what moved during the one before; writers that race for ever for the same identities are a bug.
const maxFinalRounds = 20;

/**
 * Applies the chunks of a frozen plan that are not applied yet, several at a time, each in one transaction with its
 * ledger line; then, alone, what moved meanwhile. Resolves with the counts of the whole file.
 */
export async function applyPlan(
  job: ImportJob,
  file: ImportFile,
  shape: MergeShape,
  soFar: ImportCounts,
): Promise<ImportCounts> {
  const { database, settings } = job;
  const chunks = file.chunks ?? 0;
  const applied = new Map((await appliedChunks(database, file.id)).map((chunk) => [chunk.number, chunk]));
  const total = (): ImportCounts =>
    appliedCounts(
      file.counts,
      [...applied.values()].sort((left, right) => left.number - right.number).map(({ counts }) => counts),
    );
  const apply: ApplyOne = async (number, work) => {
    const counts = await applyOne(
      job,
      file,
      shape,
      { number, chunks, applied, soFar: () => addCounts(soFar, total()) },
      work,
    );
    applied.set(number, { number, counts });
  };

  const waiting = Array.from({ length: chunks }, (_, number) => number).filter((number) => !applied.has(number));
  await inLanes(settings.lanes, waiting, (number) => apply(number, (tx) => applyChunk(tx, shape, number)));
  for (let round = chunks; ; round += 1) {
    const before = applied.get(round);
    if (before === undefined) await apply(round, (tx) => applyMoved(tx, shape, round));
    if (applied.get(round)?.counts.moved === 0) return total();
    if (round - chunks >= maxFinalRounds) throw new Error('profiles kept moving while the final chunk was applied');
  }
}

type ChunkWork = (tx: Parameters<typeof applyChunk>[0]) => Promise<ChunkCounts | MovedCounts>;
type ApplyOne = (number: number, work: ChunkWork) => Promise<void>;

interface ChunkPlace {
  readonly number: number;
  readonly chunks: number;
  readonly applied: ReadonlyMap<number, AppliedChunk>;
  readonly soFar: () => ImportCounts;
}

async function applyOne(
  job: ImportJob,
  file: ImportFile,
  shape: MergeShape,
  place: ChunkPlace,
  work: ChunkWork,
): Promise<CountedChunk> {
  const { database, context, progress, wakeUps, events, unit } = job;
  const startedAt = performance.now();
  context.signal.throwIfAborted();
  let told = false;
  const counts = await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    const applied = await work(tx);
    const done = { ...applied, recent: await recentProfiles(tx, shape, place.number, applied) };
    await recordChunk(tx, file.id, place.number, done);
    told = await progress.tell(
      tx,
      () => ({
        phase: `applying ${file.root.key}`,
        done: place.applied.size + 1,
        total: place.chunks + 1,
        unit: 'chunks',
      }),
      place.soFar,
    );
    return done;
  });
  await wakeUps.wake('stream-lane', { version: 1 });
  if (told) await progress.wake();
  events.chunkApplied({
    runId: unit.runId,
    number: place.number,
    rows: counts.created + counts.updated + counts.unchanged + (counts.erased ?? 0),
    elapsedMs: Math.round(performance.now() - startedAt),
  });
  return counts;
}

/** Runs `work` over the items in order, `lanes` at a time. After a failure no further item begins; the others end first. */
async function inLanes<T>(lanes: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  let failed = false;
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && !failed; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

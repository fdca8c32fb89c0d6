import type { Transaction } from '@millrace/database';
import { InputError, type ImportCounts } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import { createStagingTable } from '@millrace/profile-store';
import { linkEvents, type LinkCounts } from '../link-files/link-events.js';
import type { PlannedFile } from '../link-files/plan-links.js';
import { stageObject, type RowTally, type StagedObject } from '../stage-file/stage-object.js';
import { updateFile, type ImportFile, type ListedObject } from '../storage/files.js';
import { lastHeader } from '../storage/headers.js';
import { clearRejects } from '../storage/rejects.js';
import { createLinkedTable, dropTables, linkingColumnDefinitions, nextTableNumber } from '../storage/staging-tables.js';
import { stagedCounts } from './counts.js';
import { mergeShape, type ImportJob } from './import-job.js';

export interface StagedSet {
  readonly stage: string;
  readonly counts: ImportCounts;
}

/**
 * Reads a set of files into fresh staging tables and joins them. Restartable from the beginning: what an interrupted
 * staging left has another number and is dropped. Every file has proved itself whole when this resolves.
 * @param soFar counts of the run before this file
 * @throws InputError, TransientError
 */
export async function stageSet(job: ImportJob, file: ImportFile, soFar: ImportCounts): Promise<StagedSet> {
  const { database, context, links } = job;
  const stage = await nextTableNumber(database);
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    await clearRejects(tx, file.id);
    await updateFile(tx, file.id, { stage });
  });
  if (file.stage !== undefined) await dropTables(database, 'stage', file.stage);

  const objects = new Map<string, ListedObject>([
    ['root', file.root],
    ...file.members.map((member) => [member.alias, member] as const),
  ]);
  const totalBytes = [...objects.values()].reduce((sum, object) => sum + object.size, 0);
  const meter: Meter = { done: 0, total: totalBytes };
  const staged: StagedObject[] = [];
  const tallies: RowTally[] = [];
  const onEnd = (rows: RowTally): void => void tallies.push(rows);
  try {
    for (const planned of links) {
      const object = objects.get(planned.alias);
      if (object === undefined) throw new Error(`the list of files has no "${planned.alias}"`);
      staged.push(await stageOne(job, { file, stage, planned, object, meter, soFar, onEnd }));
    }
  } catch (error) {
    if (error instanceof InputError && file.state === 'listed') await keepTallies(job, file, tallies, totalBytes);
    throw error;
  }
  const linkCounts = await link(job, stage);
  const [root, ...linked] = staged as [StagedObject, ...StagedObject[]];
  const counts = stagedCounts(root, linked, linkCounts, totalBytes);
  return { stage, counts };
}

/** What was read of a set that cannot be imported, for the counts of the run; its linked rows belong to nothing. */
async function keepTallies(
  { database, context }: ImportJob,
  file: ImportFile,
  [root, ...linked]: readonly RowTally[],
  bytes: number,
): Promise<void> {
  if (root === undefined) return;
  const counts = stagedCounts(root, linked, undefined, bytes);
  const { linkedRowsRead, linkedRowsRejected, linkedRowsFiltered } = counts;
  const linkedRowsOrphaned = linkedRowsRead - linkedRowsRejected - linkedRowsFiltered;
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    await updateFile(tx, file.id, { counts: { ...counts, linkedRowsOrphaned } });
  });
}

interface Meter {
  done: number;
  readonly total: number;
}

interface Staging {
  readonly file: ImportFile;
  readonly stage: string;
  readonly planned: PlannedFile;
  readonly object: ListedObject;
  readonly meter: Meter;
  readonly soFar: ImportCounts;
  readonly onEnd: (rows: RowTally) => void;
}

async function stageOne(
  job: ImportJob,
  { file, stage, planned, object, meter, soFar, onEnd }: Staging,
): Promise<StagedObject> {
  const { database, store, goal, catalogue, pgp, pseudonymKey, context, settings, progress } = job;
  const createTable = async (tx: Transaction): Promise<void> => {
    // Reading may take hours: a COPY under way does not count as idle, and a takeover ends it.
    await beginUnderLease(tx, context.lease);
    if (planned.link !== undefined) return createLinkedTable(tx, stage, planned);
    const shape = mergeShape(job, {
      stage,
      plan: '0',
      chunkLines: settings.chunkLines,
      writtenAt: file.lastModified,
    });
    return createStagingTable(tx, shape, linkingColumnDefinitions(planned));
  };
  const staged = await stageObject({
    database,
    store,
    bucket: file.bucket,
    object,
    fileId: file.id,
    stage,
    goal,
    organizationalUnit: job.organizationalUnit,
    file: planned,
    catalogue,
    pgp,
    pseudonymKey,
    now: file.listedAt,
    maxPlainBytes: settings.maxPlainBytes,
    recordLimits: settings,
    maxStoredRejects: settings.maxStoredRejects,
    columnsBefore: await lastHeader(database, job.unit.goalId, planned.alias),
    signal: context.signal,
    createTable,
    onBytes: (bytes) => (meter.done += bytes),
    onBatch: async () => {
      const told = await progress.tell(
        database,
        () => ({ phase: `reading ${object.key}`, done: meter.done, total: meter.total, unit: 'bytes' }),
        () => soFar,
      );
      if (told) await progress.wake();
    },
    onEnd,
  });
  if (staged.columnsLeftOut > 0) {
    const columns = staged.columnsLeftOut === 1 ? '1 column was' : `${staged.columnsLeftOut} columns were`;
    const why = 'the workspace has no property of that name, with the prefix, that fits the rule';
    await progress.note(database, 'warn', `${object.key}: ${columns} left out: ${why}`, object.key);
  }
  for (const finding of staged.drift) await progress.note(database, 'warn', `${object.key}: ${finding}`, object.key);
  for (const { label, rows } of staged.logged)
    await progress.note(
      database,
      'info',
      `${object.key}: ${rows} ${rows === 1 ? 'row' : 'rows'} came to log "${label}"`,
      object.key,
    );
  return staged;
}

async function link(
  { database, links, goal, catalogue, context }: ImportJob,
  stage: string,
): Promise<LinkCounts | undefined> {
  if (links.length === 1 && goal.events.length === 0) return undefined;
  context.signal.throwIfAborted();
  const eventTypeIds = goal.events.map((event) => catalogue.eventTypes.get(event.type)?.id ?? 0);
  return database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    return linkEvents(tx, stage, links, eventTypeIds);
  });
}

import type { Transaction } from '@millrace/database';
import { goalUnitPayload } from '@millrace/domain';
import { beginUnderLease } from '@millrace/job-queue';
import { setHash } from '../select-files/config-hash.js';
import { groupFileSets, type FileSet, type SourceObject } from '../select-files/group-file-sets.js';
import { describePattern } from '../select-files/name-pattern.js';
import { selectDelivered } from '../select-files/select-delivered.js';
import { adoptUnfinished, insertFile, runFiles, type GoalRun, type ImportFile } from '../storage/files.js';
import { earlierImport, wasImported } from '../storage/ledger.js';
import type { ImportJob } from './import-job.js';

/**
 * The files of the run. The first time the source is listed and the list written down; a run that goes on after a
 * crash keeps to that list, whatever has become of the directory meanwhile.
 * @throws InputError where the source cannot be listed or a linked file is missing
 */
export async function listRunFiles(job: ImportJob): Promise<readonly ImportFile[]> {
  const { database, unit, goal, context, progress } = job;
  const known = await runFiles(database, unit);
  if (known.length > 0) return known;
  const { objects, notes } = await selectDelivered({
    source: goal.source,
    objects: await listSource(job),
    directory: prefixOf(job),
    read: (object) => job.store.read(goal.source.bucket, object.key, { ifMatch: object.etag }),
    isImported: (name) => wasImported(database, unit.goalId, goal.source.bucket, prefixOf(job) + name),
  });
  const sets = groupFileSets(goal, objects);
  await database.transaction(async (tx) => {
    await beginUnderLease(tx, context.lease);
    for (const message of notes) await progress.note(tx, 'info', message);
    for (const [position, set] of sets.entries()) await writeDown(tx, job, position, set);
    if (sets.length === 0 && notes.length === 0)
      await progress.note(
        tx,
        'warn',
        `no file in ${place(job)} matches ${describePattern(goal.source.pattern)}: nothing was imported`,
      );
  });
  await progress.wake();
  return runFiles(database, unit);
}

function prefixOf({ goal }: ImportJob): string {
  const { directory } = goal.source;
  return directory === '' ? '' : `${directory.replace(/\/+$/, '')}/`;
}

async function listSource(job: ImportJob): Promise<readonly SourceObject[]> {
  const { store, goal, context } = job;
  const { bucket } = goal.source;
  const prefix = prefixOf(job);
  const objects: SourceObject[] = [];
  for await (const object of store.list(bucket, prefix)) {
    context.signal.throwIfAborted();
    objects.push({ ...object, name: object.key.slice(prefix.length) });
  }
  return objects;
}

async function writeDown(tx: Transaction, job: ImportJob, position: number, set: FileSet): Promise<void> {
  const { goal, unit, configHash, progress, events } = job;
  const run: GoalRun = { runId: unit.runId, goalId: unit.goalId, unitId: unit.id };
  const { bucket } = goal.source;
  const file = { set, setHash: setHash(set), configHash };
  const earlier = await earlierImport(tx, unit.goalId, bucket, { root: set.root, setHash: file.setHash, configHash });
  const reason = earlier === undefined ? undefined : whyToSkip(job, set, earlier);
  if (earlier !== undefined && reason !== undefined) {
    await insertFile(tx, run, bucket, position, { ...file, state: 'skipped' });
    await progress.note(tx, earlier.identical ? 'info' : 'warn', reason, set.root.key);
    events.fileSkipped({ runId: unit.runId, key: set.root.key, earlierRunId: earlier.runId });
    return;
  }
  const begunBy = job.dryRun ? undefined : await adoptUnfinished(tx, run, position, file);
  if (begunBy === undefined) await insertFile(tx, run, bucket, position, { ...file, state: 'listed' });
  else
    await progress.note(
      tx,
      'info',
      `${set.root.key} was begun by run ${begunBy}; this run goes on where that one stopped`,
      set.root.key,
    );
}

function whyToSkip(
  { goal, unit }: ImportJob,
  set: FileSet,
  earlier: { runId: string; finishedAt: Date; identical: boolean },
): string | undefined {
  const when = `run ${earlier.runId} on ${earlier.finishedAt.toISOString()}`;
  if (earlier.identical)
    return `${set.root.key} was skipped: ${when} imported the same file under the same configuration`;
  const sums = goal.mapAll?.rule === 'sum' || goal.mappings.some((mapping) => mapping.rule === 'sum');
  if (!sums || goalUnitPayload.parse(unit.payload).repeatSums) return undefined;
  return (
    `${set.root.key} was skipped: ${when} imported it under another configuration or with other linked files, and importing it again ` +
    'would add its sums a second time; start the run with repeatSums to do so'
  );
}

function place({ goal }: ImportJob): string {
  const { bucket, directory } = goal.source;
  return `${bucket}/${directory}`;
}

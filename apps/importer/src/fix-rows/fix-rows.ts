import { derivePseudonymKey } from '@millrace/crypto';
import { sql, type Database, type Transaction } from '@millrace/database';
import {
  csvDialect,
  InputError,
  type FixedRows,
  type ImportCounts,
  type GoalSnapshot,
  type ImportGoal,
} from '@millrace/domain';
import { loadGoalSnapshot, writeRunEvent, type WakeUps } from '@millrace/job-queue';
import { ColumnIndex } from '@millrace/mapping';
import {
  applyChunk,
  applyMoved,
  createStagingTable,
  loadCatalogue,
  otherUnitLines,
  unmatchedLines,
  resolveRows,
  type ChunkCounts,
  type MovedCounts,
} from '@millrace/profile-store';
import { linkEvents } from '../link-files/link-events.js';
import { planLinks } from '../link-files/plan-links.js';
import {
  addCounts,
  appliedCounts,
  assertBalanced,
  fieldCounts,
  noCounts,
  plannedCounts,
} from '../run-import/counts.js';
import { goalInWorkspace, isImportSnapshot, mergeShape, type GoalInWorkspace } from '../run-import/import-job.js';
import { otherUnit } from '../run-import/list-unapplied.js';
import { toleranceOf } from '../stage-file/column-drift.js';
import { CopyWriter } from '../stage-file/copy-writer.js';
import { compileRowEncoder, filtered } from '../stage-file/row-encoders.js';
import { lockFile, runFiles, updateFile } from '../storage/files.js';
import { createLinkedTable, fileTable, linkingColumnDefinitions, nextTableNumber } from '../storage/staging-tables.js';
import { readFixedRows, type SentRow } from './read-fixed-rows.js';
import { filesOfRun, markFixed, openLines, type RejectedFile } from './rejected-rows.js';

export interface FixServices {
  readonly database: Database;
  readonly wakeUps: WakeUps;
  readonly sealingKey: Uint8Array;
}

type Problem = FixedRows['problems'][number];

// All rows in one chunk: an upload is small, and its lines are those of the source file.
const chunkLines = 2_000_000_000;
const maxRounds = 20;
const shownProblems = 1000;

/** "Import the fixed rows only": applies the rows of a corrected reject file under the goal as it was in their run. */
export class FixRows {
  readonly #services: FixServices;

  constructor(services: FixServices) {
    this.#services = services;
  }

  /**
   * One transaction per source file, with the run's new counts: a row counts once, whatever is sent how often. Rows of
   * linked files cannot be sent, and linked rows of a fixed row stay orphans.
   * @throws InputError `run-not-found`, `run-conflict`, `dry-run-conflict`, `not-a-reject-file`
   */
  async fix(runId: string, csv: string): Promise<FixedRows> {
    const { database, wakeUps } = this.#services;
    const files = await filesOfRun(database, runId);
    if (files.length === 0) throw new InputError('run-not-found', 'the run imported no files');
    if (files.some(({ isOpen }) => isOpen))
      throw new InputError('run-conflict', 'the run is still under way: wait for its end');
    if (files.some(({ isDryRun }) => isDryRun))
      throw new InputError(
        'dry-run-conflict',
        'a dry run has applied nothing: correct the file, or send the rows to a run that did',
      );
    const goals = new Map<string, GoalOfRun>();
    for (const { snapshotId } of files) {
      const snapshot = await loadGoalSnapshot(database, snapshotId);
      if (isImportSnapshot(snapshot)) goals.set(snapshotId, snapshot);
    }
    const nullWords = [...new Set([...goals.values()].flatMap(({ goal }) => goal.csv.nullWords))];
    const { rows, bad } = await readFixedRows(csv, nullWords);
    const total: Tally = { counts: noCounts, problems: [], refused: 0 };
    for (const each of bad) refuse(total, { ...each, name: '' });
    for (const name of new Set(rows.map((row) => row.name))) {
      const sent = rows.filter((row) => row.name === name);
      // A key that two goals have imported in one run does not say whose row it was.
      const [file, another] = files.filter(({ key }) => key === name);
      const snapshot = goals.get(file?.snapshotId ?? '');
      if (file === undefined || another !== undefined || snapshot === undefined) {
        const message =
          another === undefined
            ? `${name} is no root file of this run: only rows of root files can be sent`
            : `${name} was imported by several goals of this run: correct the file and run again`;
        for (const { line } of sent) refuse(total, { line, name, code: 'no-such-file', message });
        continue;
      }
      await database.transaction((tx) => this.#fixFile(tx, runId, file, snapshot, sent, total));
    }
    await wakeUps.wake('stream-lane', { version: 1 });
    await wakeUps.wake('run-event', { version: 1 });
    const { created, updated, unchanged, erased, skipped, ambiguous, rejected } = total.counts;
    return {
      rowsRead: rows.length + bad.length,
      created,
      updated,
      unchanged,
      erased,
      skipped,
      ambiguous,
      stillRejected: rejected,
      refused: total.refused,
      problems: total.problems.sort((left, right) => left.line - right.line).slice(0, shownProblems),
    };
  }

  async #fixFile(
    tx: Transaction,
    runId: string,
    file: RejectedFile,
    snapshot: GoalOfRun,
    sent: readonly SentRow[],
    total: Tally,
  ): Promise<void> {
    const before = await lockFile(tx, file.id);
    const header = file.headers.root ?? [];
    const accepted = await acceptRows(tx, file, before.state, header, sent, total);
    if (accepted.length === 0) return;
    const unmatchedBefore = accepted.filter(({ unmatched }) => unmatched).length;
    const { workspaceId } = snapshot;
    const goal = goalInWorkspace(snapshot, await loadCatalogue(tx, workspaceId));
    const pseudonymKey = derivePseudonymKey(this.#services.sealingKey, workspaceId);
    const at = { ...goal, workspaceId, pseudonymKey, writtenAt: before.lastModified };
    const { counts, applied } = await applyRows(tx, at, file, accepted, total);
    await markFixed(tx, file.id, applied);
    const after = addCounts(before.counts, {
      ...counts,
      rowsRead: 0,
      rejected: counts.rejected - (accepted.length - unmatchedBefore),
      skipped: { ...counts.skipped, unmatched: (counts.skipped.unmatched ?? 0) - unmatchedBefore },
    });
    assertBalanced(after);
    await updateFile(tx, file.id, { counts: after });
    total.counts = addCounts(total.counts, counts);
    const all = await runFiles(tx, { runId, goalId: file.goalId });
    const recounted = all.reduce((sum, each) => addCounts(sum, each.counts), noCounts);
    await writeRunEvent(tx, { runId, goalId: file.goalId }, { kind: 'goal-recounted', counts: recounted });
  }
}

type GoalOfRun = Pick<GoalSnapshot, 'consentObjectives' | 'workspaceId'> & { readonly goal: ImportGoal };

interface Tally {
  counts: ImportCounts;
  readonly problems: Problem[];
  refused: number;
}

function refuse(total: Tally, problem: Problem): void {
  total.refused += 1;
  total.problems.push(problem);
}

type AcceptedRow = SentRow & { readonly unmatched: boolean };

/** The rows whose lines were rejected in that run, or matched nobody, and have not been corrected before, each line once. */
async function acceptRows(
  tx: Transaction,
  file: RejectedFile,
  state: string,
  header: readonly string[],
  sent: readonly SentRow[],
  total: Tally,
): Promise<readonly AcceptedRow[]> {
  const lines = sent.map(({ sourceLine }) => sourceLine).filter((line) => !Number.isNaN(line));
  const open = await openLines(tx, file.id, lines);
  const taken = new Set<number>();
  const accepted: AcceptedRow[] = [];
  for (const row of sent) {
    const why = whyNot(row);
    if (why === undefined) {
      taken.add(row.sourceLine);
      accepted.push(Object.assign(row, { unmatched: open.get(row.sourceLine)?.unmatched === true }));
      continue;
    }
    const [code, message] = why;
    const sourceLine = Number.isNaN(row.sourceLine) ? {} : { sourceLine: row.sourceLine };
    refuse(total, { line: row.line, name: file.key, ...sourceLine, code, message });
  }
  return accepted.sort((left, right) => left.sourceLine - right.sourceLine);

  function whyNot(row: SentRow): readonly [code: string, message: string] | undefined {
    const at = `line ${row.sourceLine} of ${file.key}`;
    if (Number.isNaN(row.sourceLine))
      return ['no-line', 'the row does not say which line of the source file it corrects'];
    if (state !== 'finished' && state !== 'applied')
      return ['file-not-imported', `${file.key} was not imported in this run: correct the file and run again`];
    const known = open.get(row.sourceLine);
    if (known === undefined) return ['line-not-rejected', `${at} was not rejected in this run`];
    if (!known.open) return ['line-fixed', `${at} was corrected before`];
    if (taken.has(row.sourceLine)) return ['line-twice', `${at} stands more than once in the file that was sent`];
    const secret = row.redactedOf(header);
    if (secret !== undefined)
      return [
        'still-redacted',
        `column ${JSON.stringify(secret)} still holds the mark of a redacted value: write the value, or none`,
      ];
    return undefined;
  }
}

interface GoalAtRun extends GoalInWorkspace {
  readonly workspaceId: number;
  readonly pseudonymKey: Uint8Array;
  /** The source file: correcting a row makes what stands in it no younger. */
  readonly writtenAt: Date;
}

async function applyRows(
  tx: Transaction,
  at: GoalAtRun,
  file: RejectedFile,
  rows: readonly AcceptedRow[],
  total: Tally,
): Promise<{ readonly counts: ImportCounts; readonly applied: readonly number[] }> {
  const { goal, organizationalUnit, catalogue, pseudonymKey, writtenAt } = at;
  const header = file.headers.root ?? [];
  const links = planLinks(goal);
  const [root] = links;
  if (root === undefined) throw new Error('a plan without root');
  const dialect = csvDialect.parse({ ...goal.csv, delimiter: ',', quote: '"', escape: 'doubled' });
  const planned = { ...root, dialect };
  const encoder = compileRowEncoder({
    goal: { ...goal, csv: dialect },
    organizationalUnit,
    file: planned,
    columns: new ColumnIndex(file.key, header, header.length, toleranceOf(goal.columnDrift)),
    catalogue,
    pseudonymKey,
    now: new Date(),
  });
  // Tables of the importer like those of an import, seen by nobody else: they end with the transaction.
  const [stage, plan] = [await nextTableNumber(tx), await nextTableNumber(tx)];
  const shape = mergeShape(at, { stage, plan, chunkLines, writtenAt });
  await createStagingTable(tx, shape, linkingColumnDefinitions(root));
  for (const linked of links.slice(1)) await createLinkedTable(tx, stage, linked);
  const columns = sql.join(encoder.columns.map((name) => sql.id(name)));
  const copy = new CopyWriter(tx.copyIn(sql`COPY ${fileTable(stage, root)} (${columns}) FROM STDIN`));
  const tally = { rejected: 0, filtered: 0, fields: 0 };
  const applied: number[] = [];
  try {
    for (const row of rows) {
      const encoded = encoder.encode({ line: row.sourceLine, ...row.fieldsOf(header) }, () => (tally.fields += 1));
      if (typeof encoded === 'string') {
        applied.push(row.sourceLine);
        if (copy.add(encoded)) await copy.flush();
      } else if (encoded === filtered) {
        applied.push(row.sourceLine);
        tally.filtered += 1;
      } else {
        tally.rejected += 1;
        total.problems.push({ line: row.line, name: file.key, sourceLine: row.sourceLine, ...encoded });
      }
    }
    await copy.end();
  } catch (error) {
    await copy.abort(error instanceof Error ? error : new Error('staging ended'));
    throw error;
  }
  if (goal.events.length > 0 || links.length > 1) {
    const eventTypeIds = goal.events.map((event) => catalogue.eventTypes.get(event.type)?.id ?? 0);
    await linkEvents(tx, stage, links, eventTypeIds);
  }
  const summary = await resolveRows(tx, shape);
  const chunks: (ChunkCounts | MovedCounts)[] = [await applyChunk(tx, shape, 0)];
  for (let round = 1; (chunks.at(-1)?.moved ?? 0) > 0; round += 1) {
    if (round > maxRounds) throw new Error('profiles kept moving while fixed rows were applied');
    chunks.push(await applyMoved(tx, shape, round));
  }
  const staged: ImportCounts = {
    ...noCounts,
    rowsRead: rows.length,
    rejected: tally.rejected,
    fieldsRejected: tally.fields,
    ...fieldCounts(encoder.fields),
    skipped: tally.filtered === 0 ? {} : { filtered: tally.filtered },
  };
  const foreign = new Set(await otherUnitLines(tx, shape, applied.length));
  for (const { line, sourceLine } of rows.filter((row) => foreign.has(row.sourceLine)))
    total.problems.push({ line, name: file.key, sourceLine, ...otherUnit });
  // Who still matches nobody may be sent again, later.
  const alone = new Set(await unmatchedLines(tx, shape, rows.length));
  const stillUnmatched = new Set(
    rows.filter((row) => row.unmatched && alone.has(row.sourceLine)).map((row) => row.sourceLine),
  );
  await dropStaging(tx, stage, plan);
  return {
    counts: appliedCounts(plannedCounts(staged, summary), chunks),
    applied: applied.filter((sourceLine) => !foreign.has(sourceLine) && !stillUnmatched.has(sourceLine)),
  };
}

async function dropStaging(tx: Transaction, stage: string, plan: string): Promise<void> {
  const { rows } = await tx.query<{ name: string }>(sql`
    SELECT relname AS name FROM pg_class
    WHERE relnamespace = 'importer'::regnamespace AND relkind = 'r' AND relname ~ ${`^(stage_${stage}|plan_${plan})(_|$)`}`);
  if (rows.length > 0) await tx.query(sql`DROP TABLE ${sql.join(rows.map(({ name }) => sql.id('importer', name)))}`);
}

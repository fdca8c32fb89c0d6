import { type Executor, type Sql, type Transaction } from '@millrace/database';
import { type ExportProfilesGoal, InputError } from '@millrace/domain';
import {
  audiencesOf,
  type Catalogue,
  compileExportColumns,
  compileExportSelection,
  type ExportSelection,
} from '@millrace/mapping';
import { receiverMemory } from '../storage/delivered.js';
import type { ExportKey } from '../storage/exports.js';
import { type SealKnown, storeSelected } from '../storage/selected.js';
import { tuneSelection } from '../storage/selection-settings.js';
import { readPosition } from '../storage/watermark.js';
import { decideMode, type ModeDecision } from './decide-mode.js';
import type { ExportPlan, PlanCounts, StorePosition } from './export-plan.js';
import { exportGoalHash, type ExportTerms } from './goal-hash.js';

/** A delta that touches fewer than this share of the members is looked up by index. */
const lookupShare = 0.1;

/** Each takes a unit of work and an upload. */
export const maxFiles = 1000;

/** What an export begun now would be, before anything is counted. */
export interface DecidedExport {
  readonly decision: ModeDecision;
  /** One for each audience that has files of its own. */
  readonly audiences: readonly DecidedAudience[];
  readonly goalHash: string;
  readonly position: StorePosition;
  readonly plannedAt: Date;
}

export interface DecidedAudience {
  readonly goal: ExportProfilesGoal;
  readonly selection: ExportSelection;
}

export async function decideExport(
  tx: Transaction,
  goalId: string,
  goal: ExportProfilesGoal,
  terms: ExportTerms,
  catalogue: Catalogue,
): Promise<DecidedExport> {
  const goalHash = exportGoalHash(goal, terms, catalogue);
  const { position, watermark, plannedAt } = await readPosition(tx, goalId);
  const decision = decideMode(goal.mode, goalHash, position, watermark);
  const since = decision.mode === 'delta' ? decision.since : undefined;
  const audiences = selectAudiences(goalId, goal, terms, catalogue, since);
  return { decision, audiences, goalHash, position, plannedAt };
}

/** @param since the watermark of a delta; undefined selects in full */
export function selectAudiences(
  goalId: string,
  goal: ExportProfilesGoal,
  { consentObjectives }: Pick<ExportTerms, 'consentObjectives'>,
  catalogue: Catalogue,
  since: string | undefined,
): readonly DecidedAudience[] {
  return audiencesOf(goal).map((audience) => ({
    goal: audience,
    selection: compileExportSelection(audience, compileExportColumns(audience, catalogue), catalogue, {
      since,
      consentObjectives,
      memory: receiverMemory(goalId, audience.segmentId),
    }),
  }));
}

/**
 * Fixes what an export writes. The store's position is read first, in the transaction that counts: whatever that snapshot
 * shows is seen by every part too, which read later, so a next delta from there misses nothing. What commits in between
 * may be in this export and in the next.
 * @param seal what is remembered of keys, for the next exports
 * @throws InputError for a goal that does not fit the workspace, and 'nothing-due' where the goal says so
 */
export async function planExport(
  tx: Transaction,
  key: ExportKey,
  goal: ExportProfilesGoal,
  terms: ExportTerms,
  catalogue: Catalogue,
  seal: SealKnown,
): Promise<ExportPlan> {
  const { decision, audiences, goalHash, position, plannedAt } = await decideExport(
    tx,
    key.goalId,
    goal,
    terms,
    catalogue,
  );
  const planned: PlannedAudience[] = [];
  for (const [index, audience] of audiences.entries()) planned.push(await planAudience(tx, key, index, audience, seal));
  const written = withEmptyFiles(goal, planned);
  const [first] = written;
  const splitRows = first?.splitRows;
  return {
    version: 1,
    mode: decision.mode,
    ...(decision.mode === 'full' && decision.reason !== undefined ? { reason: decision.reason } : {}),
    ...(decision.mode === 'delta' ? { since: decision.since } : {}),
    access: planned.every(({ access }) => access === 'lookup') ? 'lookup' : 'scan',
    position,
    plannedAt: plannedAt.toISOString(),
    goalHash,
    counts: addCounts(planned.map(({ counts }) => counts)),
    ...(goal.audiences === 'one-file'
      ? splitRows === undefined
        ? {}
        : { splitRows }
      : {
          audiences: written.map(({ segmentId, files, splitRows: rows }) => ({
            segmentId,
            files,
            ...(rows === undefined ? {} : { splitRows: rows }),
          })),
        }),
    files: written.reduce((sum, { files }) => sum + files, 0),
  };
}

interface PlannedAudience {
  readonly segmentId: string;
  readonly counts: PlanCounts;
  readonly access: ExportPlan['access'];
  readonly files: number;
  /** Of each file but the last; then who is in which one is in exporter.selected. */
  readonly splitRows: number | undefined;
}

/** Whether one writer makes all files of an audience: only as it goes does it know where to cut, or which row was the last. */
export function writesAlone({ splitBytes, processors }: ExportProfilesGoal): boolean {
  return splitBytes !== undefined || processors.some(({ kind }) => kind === 'first-rows');
}

async function planAudience(
  tx: Transaction,
  key: ExportKey,
  index: number,
  { goal, selection }: DecidedAudience,
  seal: SealKnown,
): Promise<PlannedAudience> {
  const { counts, access, anyDue } = await countSelection(tx, selection);
  const { segmentId } = goal;
  const alone = writesAlone(goal);
  // Parts read later than this: near the limit there may be more by then.
  const fits = alone || (counts.due ?? counts.members) <= goal.splitRows * 0.9;
  if (fits && !selection.mustBeNumbered)
    return { segmentId, counts, access, files: anyDue ? (alone ? 1 : goal.parts) : 0, splitRows: undefined };
  if (selection.readsEveryone) await tuneSelection(tx, 'scan');
  const rows = await storeSelected(tx, key, index, selection, seal);
  const splitRows = Math.max(1, alone ? rows : Math.min(goal.splitRows, Math.ceil(rows / goal.parts)));
  const files = Math.ceil(rows / splitRows);
  if (files > maxFiles) {
    throw new InputError(
      'too-many-files',
      `${rows} rows would become ${files} files, and ${maxFiles} is the most: ask for at least ${Math.ceil(rows / maxFiles)} rows a file`,
      { at: 'splitRows' },
    );
  }
  return { segmentId, counts: { ...counts, due: rows }, access, files, splitRows };
}

/** Audiences of which nobody is due have no file, or one with only the header. */
function withEmptyFiles(goal: ExportProfilesGoal, planned: readonly PlannedAudience[]): readonly PlannedAudience[] {
  if (goal.emptyResult === 'fail' && planned.every(({ files }) => files === 0)) {
    throw new InputError('nothing-due', 'no profile is due for this export, and the goal says to fail then', {
      at: 'emptyResult',
    });
  }
  return goal.emptyResult === 'header-only'
    ? planned.map((audience) => ({ ...audience, files: audience.files || 1 }))
    : planned;
}

export function addCounts(all: readonly PlanCounts[]): PlanCounts {
  const [first, ...rest] = all;
  if (first === undefined) throw new TypeError('an export has at least one audience');
  return rest.reduce((left, right) => {
    const withheldBy: Record<string, number> = { ...left.withheldBy };
    for (const [reason, profiles] of Object.entries(right.withheldBy ?? {}))
      withheldBy[reason] = (withheldBy[reason] ?? 0) + profiles;
    return {
      members: left.members + right.members,
      ...sumOf('touched', left, right),
      ...sumOf('due', left, right),
      ...sumOf('withheld', left, right),
      ...(left.withheldBy === undefined && right.withheldBy === undefined ? {} : { withheldBy }),
    };
  }, first);
}

/** Known only where it is known of both. */
function sumOf(field: 'touched' | 'due' | 'withheld', left: PlanCounts, right: PlanCounts): Partial<PlanCounts> {
  const [one, other] = [left[field], right[field]];
  return one === undefined || other === undefined ? {} : { [field]: one + other };
}

/** Leaves the transaction tuned for reading the selection. @param thorough Counts by reason where planning can do without. */
export async function countSelection(
  tx: Transaction,
  selection: ExportSelection,
  thorough = selection.withholds,
): Promise<{ readonly counts: PlanCounts; readonly access: ExportPlan['access']; readonly anyDue: boolean }> {
  await tuneSelection(tx, 'scan');
  const members = await count(tx, selection.countMembers, 'members');
  if (selection.countTouched === undefined) {
    if (!thorough) {
      const { rows } = await tx.query<{ due: boolean }>(selection.anyDue);
      return { counts: { members }, access: 'scan', anyDue: rows[0]?.due === true };
    }
    const found = await countByReason(tx, selection);
    return { counts: { members, ...found }, access: 'scan', anyDue: found.due > 0 };
  }
  await tuneSelection(tx, 'lookup');
  const touched = await count(tx, selection.countTouched, 'touched');
  const access = touched <= members * lookupShare ? 'lookup' : 'scan';
  await tuneSelection(tx, selection.readsEveryone ? 'scan' : access);
  const found = touched === 0 ? { due: 0, withheld: 0, withheldBy: {} } : await countByReason(tx, selection);
  return { counts: { members, touched, ...found }, access, anyDue: found.due > 0 };
}

async function countByReason(
  tx: Executor,
  selection: ExportSelection,
): Promise<Required<Pick<PlanCounts, 'due' | 'withheld' | 'withheldBy'>>> {
  const { rows } = await tx.query<{ reason: string | null; profiles: string }>(selection.countByReason);
  const withheldBy: Record<string, number> = {};
  let due = 0;
  let withheld = 0;
  for (const { reason, profiles } of rows) {
    const number = Number(profiles);
    if (reason === null) {
      due = number;
      continue;
    }
    withheldBy[reason] = number;
    withheld += number;
  }
  return { due, withheld, withheldBy };
}

async function count(tx: Executor, query: Sql, column: string): Promise<number> {
  const { rows } = await tx.query<Record<string, string>>(query);
  return Number(rows[0]?.[column] ?? 0);
}

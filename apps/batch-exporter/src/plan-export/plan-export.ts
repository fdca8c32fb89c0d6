import { type Executor, type Sql, type Transaction } from '@millrace/database';
import { type ExportProfilesGoal, type GoalEndpoint, InputError } from '@millrace/domain';
import { type Catalogue, compileExportColumns, compileExportSelection, type ExportSelection } from '@millrace/mapping';
import type { ExportKey } from '../storage/exports.js';
import { storeSelected } from '../storage/selected.js';
import { tuneSelection } from '../storage/selection-settings.js';
import { readPosition } from '../storage/watermark.js';
import { decideMode, type ModeDecision } from './decide-mode.js';
import type { ExportPlan, PlanCounts, StorePosition } from './export-plan.js';
import { exportGoalHash } from './goal-hash.js';

/** A delta that touches fewer than this share of the members is looked up by index. */
const lookupShare = 0.1;

/** Each takes a unit of work and an upload. */
const maxFiles = 1000;

/** What an export begun now would be, before anything is counted. */
export interface DecidedExport {
  readonly decision: ModeDecision;
  readonly selection: ExportSelection;
  readonly goalHash: string;
  readonly position: StorePosition;
  readonly plannedAt: Date;
}

export async function decideExport(
  tx: Transaction,
  goalId: string,
  goal: ExportProfilesGoal,
  endpoint: Pick<GoalEndpoint, 'endpoint'>,
  catalogue: Catalogue,
): Promise<DecidedExport> {
  const columns = compileExportColumns(goal, catalogue);
  const goalHash = exportGoalHash(goal, endpoint, catalogue);
  const { position, watermark, plannedAt } = await readPosition(tx, goalId);
  const decision = decideMode(goal.mode, goalHash, position, watermark);
  const since = decision.mode === 'delta' ? decision.since : undefined;
  return {
    decision,
    selection: compileExportSelection(goal, columns, catalogue, since),
    goalHash,
    position,
    plannedAt,
  };
}

/**
 * Fixes what an export writes. The store's position is read first, in the transaction that counts: whatever that snapshot
 * shows is seen by every part too, which read later, so a next delta from there misses nothing. What commits in between
 * may be in this export and in the next.
 * @throws InputError for a goal that does not fit the workspace, and 'nothing-due' where the goal says so
 */
export async function planExport(
  tx: Transaction,
  key: ExportKey,
  goal: ExportProfilesGoal,
  endpoint: Pick<GoalEndpoint, 'endpoint'>,
  catalogue: Catalogue,
): Promise<ExportPlan> {
  const { decision, selection, goalHash, position, plannedAt } = await decideExport(
    tx,
    key.goalId,
    goal,
    endpoint,
    catalogue,
  );
  const { counts, access, anyDue } = await countSelection(tx, selection);
  const split = goal.splitRows === undefined ? undefined : await splitByRows(tx, key, selection, goal.splitRows);
  const files = split?.files ?? (anyDue ? goal.parts : 0);
  return {
    version: 1,
    mode: decision.mode,
    ...(decision.mode === 'full' && decision.reason !== undefined ? { reason: decision.reason } : {}),
    ...(decision.mode === 'delta' ? { since: decision.since } : {}),
    access,
    position,
    plannedAt: plannedAt.toISOString(),
    goalHash,
    counts: split === undefined ? counts : { ...counts, due: split.rows },
    ...(goal.splitRows === undefined ? {} : { splitRows: goal.splitRows }),
    files: files > 0 ? files : filesWhenNothingIsDue(goal),
  };
}

async function splitByRows(
  tx: Transaction,
  key: ExportKey,
  selection: ExportSelection,
  splitRows: number,
): Promise<{ readonly rows: number; readonly files: number }> {
  const rows = await storeSelected(tx, key, selection.numbered);
  const files = Math.ceil(rows / splitRows);
  if (files > maxFiles) {
    throw new InputError(
      'too-many-files',
      `${rows} rows would become ${files} files, and ${maxFiles} is the most: ask for at least ${Math.ceil(rows / maxFiles)} rows a file`,
      { at: 'splitRows' },
    );
  }
  return { rows, files };
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
  await tuneSelection(tx, access);
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

function filesWhenNothingIsDue(goal: ExportProfilesGoal): number {
  switch (goal.emptyResult) {
    case 'skip':
      return 0;
    case 'header-only':
      return 1;
    case 'fail':
      throw new InputError('nothing-due', 'no profile is due for this export, and the goal says to fail then', {
        at: 'emptyResult',
      });
  }
}

import type { Sql } from '@millrace/database';
import type { ExportProfilesGoal } from '@millrace/domain';
import { type Catalogue, partitionsOfPart } from '@millrace/mapping';
import type { ExportKey } from '../storage/exports.js';
import { selectedOfFile } from '../storage/selected.js';
import type { ExportPlan } from './export-plan.js';
import type { ExportTerms } from './goal-hash.js';
import { selectAudiences } from './plan-export.js';

/** Where a file stands in the plan. */
export interface PlannedFile {
  /** Place of its audience, from 0. */
  readonly audience: number;
  /** From 1 among the files of its audience. */
  readonly number: number;
  /** Files of its audience. */
  readonly files: number;
  readonly splitRows: number | undefined;
}

/** @param part from 1 over all files of the plan */
export function plannedFile(plan: ExportPlan, part: number): PlannedFile {
  const audiences = plan.audiences ?? [{ files: plan.files, splitRows: plan.splitRows }];
  let before = 0;
  for (const [audience, { files, splitRows }] of audiences.entries()) {
    if (part <= before + files) return { audience, number: part - before, files, splitRows };
    before += files;
  }
  throw new RangeError(`the plan has no part ${part}`);
}

/** The hash partitions a file is read from: its own where files share them out. */
export function partitionsOfFile({ number, files, splitRows }: PlannedFile): readonly number[] {
  return splitRows === undefined ? partitionsOfPart(number, files) : partitionsOfPart(1, 1);
}

/** The rows of one file, as a query without parameters. */
export function rowsOfFile(
  key: ExportKey,
  plan: ExportPlan,
  part: number,
  goal: ExportProfilesGoal,
  terms: Pick<ExportTerms, 'consentObjectives'>,
  catalogue: Catalogue,
): Sql {
  const file = plannedFile(plan, part);
  const { audience, number, splitRows } = file;
  const selection = selectAudiences(key.goalId, goal, terms, catalogue, plan.since)[audience]?.selection;
  if (selection === undefined) throw new RangeError(`the goal has no audience ${audience}`);
  return splitRows === undefined
    ? selection.rows(partitionsOfFile(file))
    : selection.rowsOf(selectedOfFile(key, { audience, number, splitRows }));
}

/** Whom an audience holds at this moment, each once and only who consents to that: a query for `profile_id` without parameters. */
export function profilesOfAudience(
  key: ExportKey,
  plan: ExportPlan,
  audience: number,
  goal: ExportProfilesGoal,
  terms: Pick<ExportTerms, 'consentObjectives'>,
  catalogue: Catalogue,
): Sql {
  const selection = selectAudiences(key.goalId, goal, terms, catalogue, plan.since)[audience]?.selection;
  if (selection === undefined) throw new RangeError(`the goal has no audience ${audience}`);
  return selection.profiles;
}

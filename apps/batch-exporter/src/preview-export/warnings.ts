import type { ExportProfilesGoal } from '@millrace/domain';
import { namesCarryTime } from '../plan-export/file-names.js';

/** More is slow to load for most receivers of audiences. */
const advisedColumns = 20;

/** What would work, but is likely not meant. */
export function warningsOf(goal: ExportProfilesGoal): readonly string[] {
  const warnings: string[] = [];
  if (goal.columns.length > advisedColumns)
    warnings.push(
      `the files have ${goal.columns.length} columns: receivers of audiences are commonly advised to take at most ${advisedColumns}`,
    );
  if (!namesCarryTime(goal))
    warnings.push('the file name has no time: the next export finds its name taken until somebody removes the file');
  if (goal.mode !== 'full' && !goal.columns.some(({ source }) => source.kind === 'membership-status'))
    warnings.push('no column says who is in the segment: the files of changes cannot tell who left it');
  return warnings;
}

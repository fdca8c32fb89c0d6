import type { Executor } from '@millrace/database';
import { type Connection, type Goal, InputError } from '@millrace/domain';
import { loadCatalogue } from '@millrace/profile-store';
import { brokenPolicies } from './check-policies.js';
import { loadGovernance } from './load-governance.js';

/**
 * Refuses goals that break a policy or guardrail of their connection as it is now, when they are to run or the connection
 * changes: both may be younger than the goals.
 * @throws InputError `policy-conflict` naming goal, field, policy and label; `guardrail-conflict`
 */
export async function checkGoals(
  executor: Executor,
  goals: readonly { readonly workspaceId: number; readonly document: Goal }[],
  { document: connection }: { readonly document: Connection },
): Promise<void> {
  const [first] = goals;
  if (first === undefined) return;
  const governance = await loadGovernance(executor, first.workspaceId);
  const catalogue = await loadCatalogue(executor, first.workspaceId);
  for (const { document: goal } of goals) {
    const [complaint] = brokenPolicies(goal, connection, governance, catalogue);
    if (complaint !== undefined)
      throw new InputError('policy-conflict', `the goal ${JSON.stringify(goal.name)}: ${complaint.message}`, {
        at: complaint.path.join('.'),
      });
    const maxColumns = connection.kind === 's3' ? connection.guardrails.maxColumns : undefined;
    if (goal.kind === 'export-profiles' && maxColumns !== undefined && goal.columns.length > maxColumns)
      throw new InputError(
        'guardrail-conflict',
        `the goal ${JSON.stringify(goal.name)} has ${goal.columns.length} columns, and the connection allows ${maxColumns}`,
        { at: 'guardrails.maxColumns' },
      );
  }
}

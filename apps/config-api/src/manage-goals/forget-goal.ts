import { sql, type Executor } from '@millrace/database';
import { sendCommand } from '@millrace/job-queue';
import type { GoalRow } from '../storage/entities.js';

/** In the transaction that deletes a goal: its labels go, and the exporter forgets whom it delivered for it. Streams: see `commandStream`. */
export async function forgetGoal(executor: Executor, { id, workspaceId, kind }: GoalRow): Promise<void> {
  await dropLabels(executor, workspaceId, id);
  if (kind === 'export-profiles') await sendCommand(executor, { kind: 'forget-export', goalId: id });
}

/** Of a segment or goal that is no more. */
export async function dropLabels(executor: Executor, workspaceId: number, id: string): Promise<void> {
  await executor.query(sql`
    DELETE FROM config.label WHERE workspace_id = ${workspaceId} AND kind IN ('segment', 'import-goal') AND name = ${id}`);
}

import type { Executor } from '@millrace/database';
import type { GoalSnapshot } from '@millrace/domain';
import { saveGoalSnapshot, sendCommand } from '@millrace/job-queue';
import { endpointForGoal, type SealingKeys } from '../manage-connections/connection-secrets.js';
import type { ConnectionRow, GoalRow } from '../storage/entities.js';

/** The goal and its endpoint as a worker gets them, frozen now. */
export function snapshotOf(goal: GoalRow, connection: ConnectionRow, keys: SealingKeys): GoalSnapshot {
  const { workspaceId, id: connectionId } = connection;
  return {
    version: 1,
    workspaceId,
    connectionId,
    goalId: goal.id,
    goal: goal.document,
    endpoint: endpointForGoal(connection.document, goal.kind, keys, { workspaceId, connectionId }),
    consentObjectives: connection.document.consentObjectives,
  };
}

export function isStreaming(
  goal: Pick<GoalRow, 'kind' | 'active'>,
  connection: Pick<ConnectionRow, 'active'>,
): boolean {
  return goal.kind === 'stream' && goal.active && connection.active;
}

/**
 * Tells stream-publisher, in the transaction that saves the goal, to stream by the new state or to stop.
 * Returns whether anything was told: then `stream-lane` wants a wake-up after commit.
 */
export async function commandStream(
  executor: Executor,
  change: {
    readonly goal: GoalRow;
    readonly connection: ConnectionRow;
    readonly before: boolean;
    readonly after: boolean;
    /** The goal is deleted: what is known of it goes. */
    readonly deleted?: boolean;
  },
  keys: SealingKeys,
): Promise<boolean> {
  const { goal, connection, before, after } = change;
  if (change.deleted === true && goal.kind === 'stream') {
    await sendCommand(executor, { kind: 'remove-stream', goalId: goal.id });
    return true;
  }
  if (after) {
    const { snapshotId } = await saveGoalSnapshot(executor, snapshotOf(goal, connection, keys));
    await sendCommand(executor, { kind: 'activate-stream', goalId: goal.id, snapshotId });
    return true;
  }
  if (before) await sendCommand(executor, { kind: 'deactivate-stream', goalId: goal.id });
  return before;
}

import { sql, type Executor, type Transaction } from '@millrace/database';
import { lockDefinitions } from './lock-definitions.js';

export interface StreamTarget {
  readonly goalId: string;
  readonly workspaceId: number;
  /** Ids of the properties the goal maps. */
  readonly propertyIds: readonly number[];
  readonly suppressSameValue: boolean;
}

/** From the commit on, every writer of the workspace makes outbox rows. Waits for writers under way. */
export async function registerStreamTarget(tx: Transaction, target: StreamTarget): Promise<void> {
  await lockDefinitions(tx, target.workspaceId, 'exclusive');
  await tx.query(sql`
    INSERT INTO profile.stream_target (goal_id, workspace_id, property_ids, suppress_same_value)
    VALUES (${target.goalId}::uuid, ${target.workspaceId}, ${target.propertyIds}::int[], ${target.suppressSameValue})
    ON CONFLICT (goal_id) DO UPDATE SET property_ids = excluded.property_ids, suppress_same_value = excluded.suppress_same_value`);
}

export async function removeStreamTarget(tx: Transaction, workspaceId: number, goalId: string): Promise<void> {
  await lockDefinitions(tx, workspaceId, 'exclusive');
  await tx.query(sql`DELETE FROM profile.stream_target WHERE goal_id = ${goalId}::uuid`);
}

/** What writers must note in the outbox; undefined where no stream goal listens to the workspace. */
export async function streamedProperties(
  executor: Executor,
  workspaceId: number,
): Promise<ReadonlySet<number> | undefined> {
  const { rows } = await executor.query<{ property_ids: number[] }>(
    sql`SELECT property_ids FROM profile.stream_target WHERE workspace_id = ${workspaceId}`,
  );
  return rows.length === 0 ? undefined : new Set(rows.flatMap((row) => row.property_ids));
}

import { sql, type Executor } from '@millrace/database';
import { goalSnapshot, InputError, type GoalSnapshot } from '@millrace/domain';
import { canonicalHash } from './canonical-json.js';

export interface SavedSnapshot {
  readonly snapshotId: string;
  /** Of the whole document, sealed values included: not the configuration hash of an import. */
  readonly hash: string;
}

/** Freezes a goal for the workers. The same document again gives the same row. */
export async function saveGoalSnapshot(executor: Executor, snapshot: GoalSnapshot): Promise<SavedSnapshot> {
  const hash = canonicalHash(snapshot);
  // The update writes what is there: only so does a row that already existed come back, from under a concurrent insert too.
  const { rows } = await executor.query<{ id: string }>(sql`
    INSERT INTO work.goal_snapshot AS s (workspace_id, goal_id, kind, document, hash)
    VALUES (${snapshot.workspaceId}, ${snapshot.goalId}, ${snapshot.goal.kind}, ${JSON.stringify(snapshot)}, ${hash})
    ON CONFLICT (goal_id, hash) DO UPDATE SET hash = s.hash
    RETURNING id`);
  return { snapshotId: (rows[0] as { id: string }).id, hash };
}

/** InputError `snapshot-not-found` when retention removed it. */
export async function loadGoalSnapshot(executor: Executor, snapshotId: string): Promise<GoalSnapshot> {
  const { rows } = await executor.query<{ document: string }>(
    sql`SELECT document FROM work.goal_snapshot WHERE id = ${snapshotId}`,
  );
  const row = rows[0];
  if (row === undefined)
    throw new InputError('snapshot-not-found', `goal snapshot ${snapshotId} is gone: start a new run`);
  return goalSnapshot.parse(JSON.parse(row.document));
}

import { sql, type Executor } from '@millrace/database';
import type { ErrorSummary } from '@millrace/domain';

/** `active`: collected and sent. `paused`: collected only. `inactive`: writers make no outbox rows for it. */
type GoalState = 'active' | 'paused' | 'inactive';

interface GoalRow {
  readonly goalId: string;
  readonly workspaceId: number;
  readonly snapshotId: string;
  readonly state: GoalState;
  readonly deactivatedAt: Date | undefined;
}

interface StoredGoal {
  readonly goal_id: string;
  readonly workspace_id: number;
  readonly snapshot_id: string;
  readonly state: GoalState;
  readonly deactivated_at: Date | null;
}

export async function findGoal(executor: Executor, goalId: string): Promise<GoalRow | undefined> {
  const { rows } = await executor.query<StoredGoal>(sql`
    SELECT goal_id, workspace_id, snapshot_id, state, deactivated_at FROM publisher.goal WHERE goal_id = ${goalId} FOR UPDATE`);
  const row = rows[0];
  return row === undefined
    ? undefined
    : {
        goalId: row.goal_id,
        workspaceId: row.workspace_id,
        snapshotId: row.snapshot_id,
        state: row.state,
        deactivatedAt: row.deactivated_at ?? undefined,
      };
}

interface SavedGoal {
  readonly goalId: string;
  readonly workspaceId: number;
  readonly snapshotId: string;
  readonly propertyIds: readonly number[];
  readonly segmentIds: readonly string[];
  readonly suppressSameValue: boolean;
}

/** Writes the goal as active, and since when each of its segments is mapped. */
export async function saveGoal(executor: Executor, goal: SavedGoal): Promise<void> {
  await executor.query(sql`
    INSERT INTO publisher.goal (goal_id, workspace_id, snapshot_id, state, property_ids, segment_ids, suppress_same_value)
    VALUES (${goal.goalId}, ${goal.workspaceId}, ${goal.snapshotId}, 'active', ${goal.propertyIds}::int[], ${goal.segmentIds}::uuid[],
      ${goal.suppressSameValue})
    ON CONFLICT (goal_id) DO UPDATE SET snapshot_id = excluded.snapshot_id, state = 'active', property_ids = excluded.property_ids,
      segment_ids = excluded.segment_ids, suppress_same_value = excluded.suppress_same_value,
      activated_at = CASE WHEN publisher.goal.state = 'active' THEN publisher.goal.activated_at ELSE excluded.activated_at END,
      deactivated_at = NULL, fault = NULL, updated_at = now()`);
  await executor.query(sql`
    WITH unmapped AS (
      DELETE FROM publisher.mapped_segment WHERE goal_id = ${goal.goalId} AND segment_id <> ALL (${goal.segmentIds}::uuid[])
    )
    INSERT INTO publisher.mapped_segment (goal_id, segment_id)
    SELECT ${goal.goalId}::uuid, segment_id FROM unnest(${goal.segmentIds}::uuid[]) AS mapped (segment_id)
    ON CONFLICT (goal_id, segment_id) DO UPDATE SET updated_at = now()`);
}

/** Begins, or begins anew, to send the members of segments; backfills of other segments of the goal go on. */
export async function startBackfills(
  executor: Executor,
  goalId: string,
  segmentIds: readonly string[],
  exitedSince: Date | undefined,
): Promise<void> {
  await executor.query(sql`
    DELETE FROM publisher.backfill b
    WHERE b.goal_id = ${goalId}
      AND NOT EXISTS (SELECT FROM publisher.mapped_segment m WHERE m.goal_id = b.goal_id AND m.segment_id = b.segment_id)`);
  await executor.query(sql`
    INSERT INTO publisher.backfill AS b (goal_id, segment_id, state, exited_since)
    SELECT ${goalId}::uuid, segment_id, 'running', ${exitedSince ?? null}::timestamptz
    FROM unnest(${segmentIds}::uuid[]) AS mapped (segment_id)
    ON CONFLICT (goal_id, segment_id) DO UPDATE SET state = 'running', cursor = DEFAULT, members = 0, queued = 0, started_at = now(),
      finished_at = NULL,
      -- One that was still to tell of exits goes on to tell of them.
      exited_since = least(excluded.exited_since, CASE WHEN b.state = 'running' THEN b.exited_since END)`);
}

export async function deactivateGoal(executor: Executor, goalId: string): Promise<void> {
  await executor.query(sql`
    UPDATE publisher.goal SET state = 'inactive', updated_at = now(),
      deactivated_at = CASE WHEN state = 'inactive' THEN deactivated_at ELSE now() END
    WHERE goal_id = ${goalId}`);
}

/** What the publisher sends for, and a text that changes whenever records of the goal may look different. */
export interface GoalToSend {
  readonly goalId: string;
  readonly workspaceId: number;
  readonly snapshotId: string;
  readonly recordVersion: string;
}

export async function listGoalsToSend(executor: Executor): Promise<readonly GoalToSend[]> {
  const { rows } = await executor.query<{
    goal_id: string;
    workspace_id: number;
    snapshot_id: string;
    record_version: string;
  }>(sql`
    SELECT g.goal_id, g.workspace_id, g.snapshot_id, concat_ws('/', g.snapshot_id, g.updated_at, w.segments, w.namespaces) AS record_version
    FROM publisher.goal g
    CROSS JOIN LATERAL (
      SELECT (SELECT concat_ws('/', count(*), max(s.updated_at)) FROM profile.segment s WHERE s.workspace_id = g.workspace_id) AS segments,
        (SELECT concat_ws('/', count(*), max(n.id)) FROM profile.identity_namespace n WHERE n.workspace_id = g.workspace_id) AS namespaces
    ) AS w
    WHERE g.state = 'active'
    ORDER BY g.goal_id`);
  return rows.map((row) => ({
    goalId: row.goal_id,
    workspaceId: row.workspace_id,
    snapshotId: row.snapshot_id,
    recordVersion: row.record_version,
  }));
}

/** Shows the goal's owner why nothing is sent, or (undefined) that sending works again. */
export async function setGoalFault(executor: Executor, goalId: string, fault: ErrorSummary | undefined): Promise<void> {
  await executor.query(sql`
    UPDATE publisher.goal SET fault = ${fault === undefined ? null : JSON.stringify({ ...fault, at: new Date().toISOString() })}::jsonb
    WHERE goal_id = ${goalId} AND (fault IS NULL) = ${fault !== undefined}`);
}

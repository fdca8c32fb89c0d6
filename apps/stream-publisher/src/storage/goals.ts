import { sql, type Executor, type Sql, type Transaction } from '@millrace/database';
import type { ErrorSummary } from '@millrace/domain';
import type { GoalTriggers } from '../collect-changes/goals-that-care.js';
import { reason } from './reasons.js';

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

/** Locked until the transaction ends. */
export async function lockGoal(tx: Transaction, goalId: string): Promise<GoalRow | undefined> {
  return await selectGoal(tx, goalId, sql`FOR UPDATE`);
}

export async function findGoal(executor: Executor, goalId: string): Promise<GoalRow | undefined> {
  return await selectGoal(executor, goalId, sql``);
}

async function selectGoal(executor: Executor, goalId: string, lock: Sql): Promise<GoalRow | undefined> {
  const { rows } = await executor.query<StoredGoal>(
    sql`SELECT goal_id, workspace_id, snapshot_id, state, deactivated_at FROM publisher.goal WHERE goal_id = ${goalId} ${lock}`,
  );
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
  /** Empty: consent does not matter. */
  readonly consentObjectives: readonly string[];
  readonly maxLagSeconds: number;
}

/** Writes the goal as active, or still paused, and since when each of its segments is mapped. */
export async function saveGoal(executor: Executor, goal: SavedGoal): Promise<void> {
  await executor.query(sql`
    INSERT INTO publisher.goal (goal_id, workspace_id, snapshot_id, state, property_ids, segment_ids, suppress_same_value,
      consent_objectives, max_lag_seconds)
    VALUES (${goal.goalId}, ${goal.workspaceId}, ${goal.snapshotId}, 'active', ${goal.propertyIds}::int[], ${goal.segmentIds}::uuid[],
      ${goal.suppressSameValue}, ${goal.consentObjectives}::text[], ${goal.maxLagSeconds})
    ON CONFLICT (goal_id) DO UPDATE SET snapshot_id = excluded.snapshot_id,
      state = CASE WHEN publisher.goal.state = 'paused' THEN 'paused' ELSE 'active' END, property_ids = excluded.property_ids,
      segment_ids = excluded.segment_ids, suppress_same_value = excluded.suppress_same_value,
      consent_objectives = excluded.consent_objectives, max_lag_seconds = excluded.max_lag_seconds,
      activated_at = CASE WHEN publisher.goal.state <> 'inactive' THEN publisher.goal.activated_at ELSE excluded.activated_at END,
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

/**
 * Of a goal that was inactive: who was in its segments and was erased meanwhile. Identities are gone with the profile, so these records name
 * nothing but the profile's id, in the envelope and as partition key.
 */
export async function queueErasedSince(
  executor: Executor,
  goal: { readonly goalId: string; readonly workspaceId: number; readonly segmentIds: readonly string[] },
  since: Date,
): Promise<void> {
  await executor.query(sql`
    INSERT INTO publisher.delivery (goal_id, profile_id, lane, reasons, segments, erased, first_change_at, changed_at)
    SELECT ${goal.goalId}::uuid, t.profile_id, profile.lane(t.profile_id), ${reason.erasure}::int, mapped.ids,
      jsonb_build_object('version', t.version::text, 'identities', '[]'::jsonb, 'memberships', (
        SELECT jsonb_agg(jsonb_build_array(s.id, '+', 0) ORDER BY s.id) FROM unnest(mapped.ids) AS s (id))),
      now(), t.erased_at
    FROM profile.tombstone t
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT unnest(t.segment_ids) INTERSECT SELECT unnest(${goal.segmentIds}::uuid[])) AS ids) AS mapped
    WHERE t.workspace_id = ${goal.workspaceId} AND t.erased_at >= ${since} AND mapped.ids <> '{}'
    ON CONFLICT (profile_id, goal_id) DO UPDATE SET
      seq = excluded.seq, reasons = publisher.delivery.reasons | excluded.reasons, segments = excluded.segments,
      erased = COALESCE(publisher.delivery.erased, excluded.erased), changed_at = excluded.changed_at, state = 'pending', attempts = 0,
      not_before = excluded.not_before`);
}

/**
 * Inactive from now on. What changes left unsent stays; members queued by backfills do not: the next activation sends them anyway.
 * Nobody will turn what is still in the outbox into deliveries of this goal: it counts as missed, from the start of the transactions
 * it came by, which may be long before.
 */
export async function deactivateGoal(executor: Executor, goalId: string): Promise<void> {
  await executor.query(sql`
    UPDATE publisher.goal SET state = 'inactive', updated_at = now(), paused_at = NULL, fault = NULL,
      deactivated_at = CASE WHEN state = 'inactive' THEN deactivated_at ELSE least(now(),
        (SELECT min(o.occurred_at) - interval '1 hour' FROM profile.outbox o WHERE o.workspace_id = publisher.goal.workspace_id)) END
    WHERE goal_id = ${goalId}`);
  await cancelBackfills(executor, goalId, undefined);
}

/** Collected only, until `resumeGoal`. Whether there was such an active goal. */
export async function pauseGoal(executor: Executor, goalId: string): Promise<boolean> {
  const { rowCount } = await executor.query(sql`
    UPDATE publisher.goal SET state = 'paused', paused_at = now(), updated_at = now()
    WHERE goal_id = ${goalId} AND state = 'active'`);
  return rowCount > 0;
}

/** What gathered meanwhile counts as late only from now on. */
export async function resumeGoal(executor: Executor, goalId: string): Promise<boolean> {
  const { rowCount } = await executor.query(sql`
    UPDATE publisher.goal SET state = 'active', paused_at = NULL, updated_at = now() WHERE goal_id = ${goalId} AND state = 'paused'`);
  return rowCount > 0;
}

/** Everything of a goal that was deleted. */
export async function removeGoal(executor: Executor, goalId: string): Promise<void> {
  // In this order: the first waits for a backfill that is queueing deliveries.
  await executor.query(sql`DELETE FROM publisher.goal WHERE goal_id = ${goalId}`);
  await executor.query(sql`DELETE FROM publisher.delivery WHERE goal_id = ${goalId}`);
}

/** Deliveries of deleted goals: written by a publisher that had read the goal shortly before. */
export async function removeOrphans(executor: Executor): Promise<void> {
  await executor.query(sql`
    DELETE FROM publisher.delivery d WHERE NOT EXISTS (SELECT FROM publisher.goal g WHERE g.goal_id = d.goal_id)`);
}

/** Ends the running backfills of a goal, of one segment or all, and takes back what they queued and nothing else asks for. */
export async function cancelBackfills(
  executor: Executor,
  goalId: string,
  segmentId: string | undefined,
): Promise<number> {
  const { rowCount } = await executor.query(sql`
    UPDATE publisher.backfill SET state = 'cancelled', finished_at = now()
    WHERE goal_id = ${goalId} AND state = 'running' AND (${segmentId ?? null}::uuid IS NULL OR segment_id = ${segmentId ?? null}::uuid)`);
  const queued = sql`d.goal_id = ${goalId} AND d.priority = 1 AND d.state = 'pending' AND d.reasons = ${reason.backfill}::int AND d.segments = '{}'`;
  await executor.query(
    segmentId === undefined
      ? sql`DELETE FROM publisher.delivery d WHERE ${queued}`
      : sql`
        DELETE FROM publisher.delivery d
        WHERE ${queued}
          AND EXISTS (SELECT FROM profile.membership m WHERE m.profile_id = d.profile_id AND m.segment_id = ${segmentId})
          AND NOT EXISTS (
            -- Another segment's backfill may have queued it as well.
            SELECT FROM publisher.backfill b JOIN profile.membership m ON m.segment_id = b.segment_id AND m.profile_id = d.profile_id
            WHERE b.goal_id = d.goal_id AND b.segment_id <> ${segmentId} AND b.state <> 'cancelled')`,
  );
  return rowCount;
}

/** What the publisher sends for, and a text that changes whenever records of the goal may look different. */
export interface GoalToSend {
  readonly goalId: string;
  readonly workspaceId: number;
  readonly snapshotId: string;
  readonly recordVersion: string;
  /** A profile must have granted one of these; empty: everyone is sent. */
  readonly consentObjectives: readonly string[];
}

export async function listGoalsToSend(executor: Executor): Promise<readonly GoalToSend[]> {
  const { rows } = await executor.query<{
    goal_id: string;
    workspace_id: number;
    snapshot_id: string;
    record_version: string;
    consent_objectives: string[];
  }>(sql`
    SELECT g.goal_id, g.workspace_id, g.snapshot_id, g.consent_objectives, concat_ws('/', g.snapshot_id, g.updated_at, w.segments, w.namespaces) AS record_version
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
    consentObjectives: row.consent_objectives,
  }));
}

/** A goal that collects changes, active or paused. */
export interface CollectingGoal extends GoalTriggers {
  readonly goalId: string;
  readonly workspaceId: number;
  readonly snapshotId: string;
  readonly active: boolean;
}

/**
 * The goals of the workspaces that collect changes. To be read after the changes: a goal activated since then hears of changes that its
 * backfill covers, which does no harm; one activated before is never missed.
 */
export async function listCollectingGoals(
  executor: Executor,
  workspaceIds: readonly number[],
): Promise<readonly CollectingGoal[]> {
  const { rows } = await executor.query<{
    goal_id: string;
    workspace_id: number;
    snapshot_id: string;
    active: boolean;
    properties: string;
    segments: string;
    suppress_same_value: boolean;
    reads_consent: boolean;
  }>(sql`
    SELECT goal_id, workspace_id, snapshot_id, state = 'active' AS active, array_to_string(property_ids, ',') AS properties,
      array_to_string(segment_ids, ',') AS segments, suppress_same_value, reads_consent
    FROM publisher.goal WHERE workspace_id = ANY (${workspaceIds}::int[]) AND state <> 'inactive'`);
  return rows.map((row) => ({
    goalId: row.goal_id,
    workspaceId: row.workspace_id,
    snapshotId: row.snapshot_id,
    active: row.active,
    propertyIds: new Set(idsOf(row.properties).map(Number)),
    segmentIds: new Set(idsOf(row.segments)),
    suppressSameValue: row.suppress_same_value,
    readsConsent: row.reads_consent,
  }));
}

function idsOf(text: string): readonly string[] {
  return text === '' ? [] : text.split(',');
}

/** Shows the goal's owner why nothing is sent, or (undefined) that sending works again. */
export async function setGoalFault(executor: Executor, goalId: string, fault: ErrorSummary | undefined): Promise<void> {
  await executor.query(sql`
    UPDATE publisher.goal SET fault = ${fault === undefined ? null : JSON.stringify({ ...fault, at: new Date().toISOString() })}::jsonb
    WHERE goal_id = ${goalId} AND (fault IS NULL) = ${fault !== undefined}`);
}

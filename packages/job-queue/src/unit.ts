import { sql, type Executor } from '@millrace/database';
import {
  summariseError,
  type ErrorSummary,
  type GoalSnapshot,
  type QueueName,
  type RunEventBody,
} from '@millrace/domain';
import { saveGoalSnapshot } from './goal-snapshot.js';
import { LeaseLostError, type Lease } from './lease.js';
import { writeRunEvent } from './run-event.js';

/** Queues whose wake-ups name a unit of work. */
export type UnitQueue = Exclude<QueueName, 'stream-lane' | 'run-event'>;
export type UnitState = 'ready' | 'running' | 'done' | 'failed' | 'cancelled';

/** A piece of work that one worker at a time does. */
export interface Unit {
  readonly id: string;
  readonly queue: UnitQueue;
  readonly workspaceId: number;
  readonly runId: string;
  readonly goalId: string;
  readonly snapshotId: string;
  /** Undefined: the unit stands for its goal, and its end is the goal's end. */
  readonly parentId: string | undefined;
  /** JSON as it was opened with; parse it with the schema of the queue. */
  readonly payload: unknown;
  /** Begun so far, this time included: 1 at the first. */
  readonly attempts: number;
}

export interface UnitStatus extends Unit {
  readonly state: UnitState;
  readonly result: unknown;
  readonly error: ErrorSummary | undefined;
}

/** Totals so far, as `goal-finished` carries them. */
export type Counts = Readonly<Record<string, unknown>>;

export interface UnitRow {
  readonly id: string;
  readonly queue: UnitQueue;
  readonly workspace_id: number;
  readonly run_id: string;
  readonly goal_id: string;
  readonly snapshot_id: string;
  readonly parent_id: string | null;
  readonly payload: string;
  readonly attempts: number;
}

export const unitColumns = sql`u.id, u.queue, u.workspace_id, u.run_id, u.goal_id, u.snapshot_id, u.parent_id, u.payload, u.attempts`;

export function toUnit(row: UnitRow): Unit {
  return {
    id: row.id,
    queue: row.queue,
    workspaceId: row.workspace_id,
    runId: row.run_id,
    goalId: row.goal_id,
    snapshotId: row.snapshot_id,
    parentId: row.parent_id ?? undefined,
    payload: JSON.parse(row.payload),
    attempts: row.attempts,
  };
}

export function unitResource(unitId: string): string {
  return `unit:${unitId}`;
}

export interface OpenGoalUnit {
  readonly queue: UnitQueue;
  readonly runId: string;
  readonly goalId: string;
  readonly snapshot: GoalSnapshot;
  readonly payload: unknown;
}

/** Opens the unit that stands for a goal of a run, with its frozen goal. Wake its queue after commit. */
export async function openGoalUnit(tx: Executor, unit: OpenGoalUnit): Promise<{ unitId: string; snapshotId: string }> {
  const { snapshotId } = await saveGoalSnapshot(tx, unit.snapshot);
  const { rows } = await tx.query<{ id: string }>(sql`
    INSERT INTO work.unit (queue, workspace_id, run_id, goal_id, snapshot_id, payload)
    VALUES (${unit.queue}, ${unit.snapshot.workspaceId}, ${unit.runId}, ${unit.goalId}, ${snapshotId}, ${JSON.stringify(unit.payload)})
    RETURNING id`);
  return { unitId: (rows[0] as { id: string }).id, snapshotId };
}

/** Opens a part of another unit: same workspace, run, goal and snapshot. Wake its queue after commit. Returns its id. */
export async function openUnit(
  tx: Executor,
  unit: { readonly queue: UnitQueue; readonly parentId: string; readonly payload: unknown },
): Promise<string> {
  const { rows } = await tx.query<{ id: string }>(sql`
    INSERT INTO work.unit (queue, workspace_id, run_id, goal_id, snapshot_id, parent_id, payload)
    SELECT ${unit.queue}, workspace_id, run_id, goal_id, snapshot_id, id, ${JSON.stringify(unit.payload)}::jsonb
    FROM work.unit WHERE id = ${unit.parentId}
    RETURNING id`);
  if (rows[0] === undefined) throw new Error(`no unit ${unit.parentId} to be the parent`);
  return rows[0].id;
}

/** The parts of a unit, oldest first. */
export async function childUnits(executor: Executor, parentId: string): Promise<readonly UnitStatus[]> {
  const { rows } = await executor.query<
    UnitRow & { state: UnitState; result: string | null; error: string | null }
  >(sql`
    SELECT ${unitColumns}, u.state, u.result, u.error FROM work.unit u WHERE u.parent_id = ${parentId} ORDER BY u.id`);
  return rows.map((row) => ({
    ...toUnit(row),
    state: row.state,
    result: row.result === null ? undefined : JSON.parse(row.result),
    error: row.error === null ? undefined : (JSON.parse(row.error) as ErrorSummary),
  }));
}

/** The unit is done. Commit it together with the work itself. `LeaseLostError` when somebody else has the unit. */
export async function finishUnit(tx: Executor, lease: Lease, unit: Unit, result: unknown = {}): Promise<void> {
  await close(tx, lease, unit, 'done', { result });
}

/** The unit failed for good. A unit that stands for its goal also tells that the goal failed. */
export async function failUnit(
  tx: Executor,
  lease: Lease,
  unit: Unit,
  error: unknown,
  counts: Counts = {},
): Promise<void> {
  const summary = summariseError(error);
  await close(tx, lease, unit, 'failed', { error: summary });
  await tellGoalFinished(tx, unit, { kind: 'goal-finished', outcome: 'failed', counts, error: summary });
}

/** The unit was cancelled. A unit that stands for its goal also tells that the goal was cancelled. */
export async function cancelUnit(tx: Executor, lease: Lease, unit: Unit, counts: Counts = {}): Promise<void> {
  await close(tx, lease, unit, 'cancelled', {});
  await tellGoalFinished(tx, unit, { kind: 'goal-finished', outcome: 'cancelled', counts });
}

/** Back to ready after a failed attempt, to be begun again after the delay. */
export async function retryUnit(
  tx: Executor,
  lease: Lease,
  unit: Unit,
  retry: { readonly delayMs: number; readonly error?: unknown },
): Promise<void> {
  await reopen(tx, lease, unit, { delayMs: retry.delayMs, attempts: unit.attempts, error: retry.error });
}

/** Back to ready without counting an attempt: to wait for something, or to give the unit to another worker on a stop. */
export async function handBackUnit(tx: Executor, lease: Lease, unit: Unit, delayMs = 0): Promise<void> {
  await reopen(tx, lease, unit, { delayMs, attempts: unit.attempts - 1 });
}

/** Ends the waiting time of a unit that was handed back with a delay, e.g. a parent whose last part is done. */
export async function hastenUnit(tx: Executor, unitId: string): Promise<void> {
  await tx.query(sql`
    UPDATE work.unit SET not_before = LEAST(not_before, clock_timestamp()) WHERE id = ${unitId} AND state = 'ready'`);
}

/** Whether the unit still runs under this lease: false once it was ended, handed back or taken over. */
export async function isOpen(executor: Executor, lease: Lease, unit: Unit): Promise<boolean> {
  const { rowCount } = await executor.query(sql`
    SELECT FROM work.unit u JOIN work.lease l ON l.id = ${lease.id} AND l.token = ${lease.token}
    WHERE u.id = ${unit.id} AND u.state = 'running'`);
  return rowCount > 0;
}

// Deleting the lease row frees the unit and proves in the same statement that this holder still had it.
function leaseGivenUp(lease: Lease): ReturnType<typeof sql> {
  return sql`DELETE FROM work.lease WHERE id = ${lease.id} AND token = ${lease.token} RETURNING id`;
}

async function close(
  tx: Executor,
  lease: Lease,
  unit: Unit,
  state: 'done' | 'failed' | 'cancelled',
  outcome: { readonly result?: unknown; readonly error?: ErrorSummary },
): Promise<void> {
  const { rowCount } = await tx.query(sql`
    WITH held AS (${leaseGivenUp(lease)})
    UPDATE work.unit SET state = ${state}, updated_at = clock_timestamp(),
      result = ${outcome.result === undefined ? null : JSON.stringify(outcome.result)}::jsonb,
      error = ${outcome.error === undefined ? null : JSON.stringify(outcome.error)}::jsonb
    WHERE id = ${unit.id} AND state = 'running' AND EXISTS (SELECT FROM held)`);
  if (rowCount === 0) throw new LeaseLostError(lease.resource);
}

async function reopen(
  tx: Executor,
  lease: Lease,
  unit: Unit,
  change: { readonly delayMs: number; readonly attempts: number; readonly error?: unknown },
): Promise<void> {
  const { rowCount } = await tx.query(sql`
    WITH held AS (${leaseGivenUp(lease)})
    UPDATE work.unit SET state = 'ready', updated_at = clock_timestamp(), attempts = ${change.attempts},
      not_before = clock_timestamp() + ${change.delayMs}::float8 * interval '1 millisecond',
      error = COALESCE(${change.error === undefined ? null : JSON.stringify(summariseError(change.error))}::jsonb, error)
    WHERE id = ${unit.id} AND state = 'running' AND EXISTS (SELECT FROM held)`);
  if (rowCount === 0) throw new LeaseLostError(lease.resource);
}

async function tellGoalFinished(tx: Executor, unit: Unit, body: RunEventBody): Promise<void> {
  if (unit.parentId === undefined)
    await writeRunEvent(tx, { runId: unit.runId, goalId: unit.goalId, unitId: unit.id }, body);
}

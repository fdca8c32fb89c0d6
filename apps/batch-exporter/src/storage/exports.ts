import { type Executor, sql, type Transaction } from '@millrace/database';
import { type ErrorSummary, errorSummary } from '@millrace/domain';
import { dropSelected } from './selected.js';
import { type ExportPlan, exportPlan } from '../plan-export/export-plan.js';

/** One goal of one run. */
export interface ExportKey {
  readonly runId: string;
  readonly goalId: string;
}

export type ExportState = 'planned' | 'parts' | 'finishing' | 'done' | 'abandoning' | 'failed' | 'cancelled';

export interface ExportRow extends ExportKey {
  readonly state: ExportState;
  readonly plan: ExportPlan;
  /** In the order of the goal's manifests; from state `parts` on, and empty where nothing is written. */
  readonly manifestKeys: readonly string[];
  /** Of the file written last of all, where the goal asks for one. */
  readonly tokenKey: string | undefined;
  /** Objects may be visible. */
  readonly finishBegun: boolean;
  /** Why it was abandoned; undefined while it was not, and when it was cancelled. */
  readonly error: ErrorSummary | undefined;
}

interface ExportRecord {
  readonly state: ExportState;
  readonly plan: string;
  readonly manifest_keys: readonly string[];
  readonly token_key: string | null;
  readonly finish_begun: boolean;
  readonly error: string | null;
}

const exportColumns = sql`state, plan, manifest_keys, token_key, finish_begun, error`;

export async function readExport(executor: Executor, key: ExportKey): Promise<ExportRow | undefined> {
  return await selectExport(executor, key, sql.empty);
}

/** Holds off every other change of state until the transaction ends. */
export async function lockExport(tx: Transaction, key: ExportKey): Promise<ExportRow | undefined> {
  return await selectExport(tx, key, sql` FOR NO KEY UPDATE`);
}

async function selectExport(
  executor: Executor,
  key: ExportKey,
  lock: ReturnType<typeof sql>,
): Promise<ExportRow | undefined> {
  const { rows } = await executor.query<ExportRecord>(
    sql`SELECT ${exportColumns} FROM exporter.export WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}${lock}`,
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    runId: key.runId,
    goalId: key.goalId,
    state: row.state,
    plan: exportPlan.parse(JSON.parse(row.plan)),
    manifestKeys: row.manifest_keys,
    tokenKey: row.token_key ?? undefined,
    finishBegun: row.finish_begun,
    error: row.error === null ? undefined : errorSummary.parse(JSON.parse(row.error)),
  };
}

export async function insertExport(
  tx: Transaction,
  key: ExportKey,
  snapshotId: string,
  plan: ExportPlan,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO exporter.export (run_id, goal_id, snapshot_id, state, plan)
    VALUES (${key.runId}, ${key.goalId}, ${snapshotId}, 'planned', ${JSON.stringify(plan)})`);
}

/** Moves on from one of the given states, and only from these. Returns whether it did. */
export async function moveExport(
  tx: Transaction,
  key: ExportKey,
  from: readonly ExportState[],
  to: ExportState,
): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    UPDATE exporter.export SET state = ${to}, updated_at = clock_timestamp(), finish_begun = finish_begun OR ${to}::text = 'finishing'
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND state = ANY (${from}::text[])`);
  return rowCount === 1;
}

/** Nothing more is written and what was written goes. Keeps the first reason. Returns whether it still could be abandoned. */
export async function beginAbandoning(
  tx: Transaction,
  key: ExportKey,
  error: ErrorSummary | undefined,
): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    UPDATE exporter.export SET
      error = CASE WHEN state = 'abandoning' THEN error ELSE ${error === undefined ? null : JSON.stringify(error)}::jsonb END,
      abandoned_at = coalesce(abandoned_at, clock_timestamp()), state = 'abandoning', updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND state IN ('planned', 'parts', 'finishing', 'abandoning')`);
  return rowCount === 1;
}

/** All of it is removed. */
export async function endAbandoning(tx: Transaction, key: ExportKey): Promise<void> {
  await tx.query(sql`
    UPDATE exporter.export SET state = CASE WHEN error IS NULL THEN 'cancelled' ELSE 'failed' END, updated_at = clock_timestamp()
    WHERE run_id = ${key.runId} AND goal_id = ${key.goalId} AND state = 'abandoning'`);
  await releaseKeys(tx, key);
  await dropSelected(tx, key);
}

export interface AbandonedExport extends ExportKey {
  readonly snapshotId: string;
}

/** Takes on exports whose removal was begun longer ago than this and never ended. Nobody else gets them for as long again. */
export async function takeLeftAbandoned(executor: Executor, olderThanMs: number): Promise<readonly AbandonedExport[]> {
  const { rows } = await executor.query<{ run_id: string; goal_id: string; snapshot_id: string }>(sql`
    UPDATE exporter.export e SET updated_at = clock_timestamp()
    FROM (
      SELECT run_id, goal_id FROM exporter.export
      WHERE state = 'abandoning' AND updated_at < clock_timestamp() - ${olderThanMs}::float8 * interval '1 millisecond'
      ORDER BY updated_at LIMIT 20 FOR UPDATE SKIP LOCKED
    ) AS left_over
    WHERE e.run_id = left_over.run_id AND e.goal_id = left_over.goal_id
    RETURNING e.run_id, e.goal_id, e.snapshot_id`);
  return rows.map((row) => ({ runId: row.run_id, goalId: row.goal_id, snapshotId: row.snapshot_id }));
}

/** Takes object names for this export, all or none. Returns one that another export under way has, if so none is taken. */
export async function reserveKeys(
  tx: Transaction,
  key: ExportKey,
  target: { readonly endpoint: string; readonly bucket: string },
  objectKeys: readonly string[],
): Promise<string | undefined> {
  await releaseKeys(tx, key);
  const { rows } = await tx.query<{ object_key: string }>(sql`
    INSERT INTO exporter.reserved_key (endpoint, bucket, object_key, run_id, goal_id)
    SELECT ${target.endpoint}, ${target.bucket}, wanted.object_key, ${key.runId}, ${key.goalId}
    FROM unnest(${objectKeys}::text[]) AS wanted (object_key)
    ORDER BY wanted.object_key
    ON CONFLICT (endpoint, bucket, object_key) DO NOTHING
    RETURNING object_key`);
  const reserved = new Set(rows.map((row) => row.object_key));
  const taken = objectKeys.find((objectKey) => !reserved.has(objectKey));
  if (taken !== undefined) await releaseKeys(tx, key);
  return taken;
}

/** One name more. Returns whether it was free. */
export async function reserveFurtherKey(
  tx: Transaction,
  key: ExportKey,
  target: { readonly endpoint: string; readonly bucket: string },
  objectKey: string,
): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO exporter.reserved_key (endpoint, bucket, object_key, run_id, goal_id)
    VALUES (${target.endpoint}, ${target.bucket}, ${objectKey}, ${key.runId}, ${key.goalId})
    ON CONFLICT (endpoint, bucket, object_key) DO NOTHING`);
  return rowCount === 1;
}

export async function releaseKeys(tx: Transaction, key: ExportKey): Promise<void> {
  await tx.query(sql`DELETE FROM exporter.reserved_key WHERE run_id = ${key.runId} AND goal_id = ${key.goalId}`);
}

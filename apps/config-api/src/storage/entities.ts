import type { Connection, Goal, GoalKind, GoalSnapshot, Scope } from '@millrace/domain';
import { EntitySchema, type EntitySchemaColumnOptions } from 'typeorm';
import { alertDeliveryEntity, alertIncidentEntity, alertRuleEntity, lateStreamEntity } from './alert-entities.js';

export interface ApiKeyRow {
  readonly id: string;
  /** Null: a platform key, good for every workspace. */
  readonly workspaceId: number | null;
  readonly name: string;
  readonly prefix: string;
  readonly keyHash: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
}

export interface ConnectionRow {
  readonly id: string;
  readonly workspaceId: number;
  readonly kind: Connection['kind'];
  readonly name: string;
  readonly active: boolean;
  /** Secrets are sealed with config-api's own key. */
  readonly document: Connection;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface GoalRow {
  readonly id: string;
  readonly workspaceId: number;
  readonly connectionId: string;
  readonly kind: GoalKind;
  readonly name: string;
  readonly active: boolean;
  readonly position: number;
  readonly document: Goal;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const id: EntitySchemaColumnOptions = { type: 'uuid', primary: true, default: () => 'uuidv7()' };
const createdAt: EntitySchemaColumnOptions = { name: 'created_at', type: 'timestamptz', default: () => 'now()' };
const updatedAt: EntitySchemaColumnOptions = { name: 'updated_at', type: 'timestamptz', default: () => 'now()' };
const workspaceId: EntitySchemaColumnOptions = { name: 'workspace_id', type: 'integer' };
const text: EntitySchemaColumnOptions = { type: 'text' };

export const apiKeyEntity = new EntitySchema<ApiKeyRow>({
  name: 'api_key',
  schema: 'config',
  columns: {
    id: { ...id, primaryKeyConstraintName: 'api_key_pk' },
    workspaceId: { ...workspaceId, nullable: true },
    name: text,
    prefix: text,
    keyHash: { ...text, name: 'key_hash' },
    scopes: { type: 'text', array: true },
    createdAt,
    lastUsedAt: { name: 'last_used_at', type: 'timestamptz', nullable: true },
  },
  uniques: [{ name: 'api_key_hash_unique', columns: ['keyHash'] }],
  indices: [{ name: 'api_key_workspace', columns: ['workspaceId'] }],
});

export const connectionEntity = new EntitySchema<ConnectionRow>({
  name: 'connection',
  schema: 'config',
  columns: {
    id: { ...id, primaryKeyConstraintName: 'connection_pk' },
    workspaceId,
    kind: text,
    name: text,
    active: { type: 'boolean' },
    document: { type: 'jsonb' },
    createdAt,
    updatedAt,
  },
  uniques: [{ name: 'connection_name_unique', columns: ['workspaceId', 'name'] }],
});

export const goalEntity = new EntitySchema<GoalRow>({
  name: 'goal',
  schema: 'config',
  columns: {
    id: { ...id, primaryKeyConstraintName: 'goal_pk' },
    workspaceId,
    connectionId: {
      name: 'connection_id',
      type: 'uuid',
      foreignKey: { target: 'connection', name: 'goal_connection', onDelete: 'CASCADE' },
    },
    kind: text,
    name: text,
    active: { type: 'boolean' },
    position: { type: 'integer' },
    document: { type: 'jsonb' },
    createdAt,
    updatedAt,
  },
  uniques: [{ name: 'goal_name_unique', columns: ['connectionId', 'name'] }],
});

export interface PolicyRow {
  readonly id: string;
  readonly workspaceId: number;
  readonly name: string;
  readonly label: string;
  readonly action: string;
  readonly createdAt: Date;
}

export const policyEntity = new EntitySchema<PolicyRow>({
  name: 'policy',
  schema: 'config',
  columns: {
    id: { ...id, primaryKeyConstraintName: 'policy_pk' },
    workspaceId,
    name: text,
    label: text,
    action: text,
    createdAt,
  },
  uniques: [{ name: 'policy_name_unique', columns: ['workspaceId', 'name'] }],
});

export interface LabelRow {
  readonly workspaceId: number;
  readonly kind: string;
  readonly name: string;
  readonly labels: readonly string[];
}

export const labelEntity = new EntitySchema<LabelRow>({
  name: 'label',
  schema: 'config',
  columns: {
    workspaceId: { ...workspaceId, primary: true, primaryKeyConstraintName: 'label_pk' },
    kind: { ...text, primary: true, primaryKeyConstraintName: 'label_pk' },
    name: { ...text, primary: true, primaryKeyConstraintName: 'label_pk' },
    labels: { type: 'text', array: true },
  },
});

/** A row of `config.run`; runs are read and written in SQL (row locks, partial updates), this entity guards their shape. */
export interface RunRow {
  readonly id: string;
  readonly workspaceId: number;
  readonly connectionId: string;
  readonly connectionName: string;
  readonly state: string;
  readonly revision: string;
  readonly requestedBy: string;
  readonly repeatSums: boolean;
  readonly dryRun: boolean;
  readonly cancelRequestedAt: Date | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export const runEntity = new EntitySchema<RunRow>({
  name: 'run',
  schema: 'config',
  columns: {
    id: { ...id, primaryKeyConstraintName: 'run_pk' },
    workspaceId,
    connectionId: { name: 'connection_id', type: 'uuid' },
    connectionName: { ...text, name: 'connection_name' },
    state: text,
    revision: { type: 'bigint', default: 1 },
    requestedBy: { ...text, name: 'requested_by' },
    repeatSums: { name: 'repeat_sums', type: 'boolean', default: false },
    dryRun: { name: 'dry_run', type: 'boolean', default: false },
    cancelRequestedAt: { name: 'cancel_requested_at', type: 'timestamptz', nullable: true },
    createdAt,
    startedAt: { name: 'started_at', type: 'timestamptz', nullable: true },
    finishedAt: { name: 'finished_at', type: 'timestamptz', nullable: true },
  },
  checks: [{ name: 'run_state', expression: `state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')` }],
  indices: [
    { name: 'run_workspace', columns: ['workspaceId', 'id'] },
    { name: 'run_connection', columns: ['connectionId', 'id'] },
    { name: 'run_one_open', columns: ['connectionId'], unique: true, where: `state IN ('queued', 'running')` },
  ],
});

export interface RunGoalRow {
  readonly runId: string;
  readonly goalId: string;
  readonly position: number;
  readonly kind: string;
  readonly name: string;
  readonly state: string;
  readonly snapshot: GoalSnapshot | null;
  readonly unitId: string | null;
  readonly counts: Readonly<Record<string, unknown>>;
  readonly progress: unknown;
  readonly notes: readonly unknown[];
  readonly notesOmitted: number;
  readonly error: unknown;
  readonly lastEventId: string;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export const runGoalEntity = new EntitySchema<RunGoalRow>({
  name: 'run_goal',
  schema: 'config',
  columns: {
    runId: {
      name: 'run_id',
      type: 'uuid',
      primary: true,
      primaryKeyConstraintName: 'run_goal_pk',
      foreignKey: { target: 'run', name: 'run_goal_run', onDelete: 'CASCADE' },
    },
    goalId: { name: 'goal_id', type: 'uuid', primary: true, primaryKeyConstraintName: 'run_goal_pk' },
    position: { type: 'integer' },
    kind: text,
    name: text,
    state: text,
    snapshot: { type: 'jsonb', nullable: true },
    unitId: { name: 'unit_id', type: 'uuid', nullable: true },
    counts: { type: 'jsonb', default: {} },
    progress: { type: 'jsonb', nullable: true },
    notes: { type: 'jsonb', default: [] },
    notesOmitted: { name: 'notes_omitted', type: 'integer', default: 0 },
    error: { type: 'jsonb', nullable: true },
    lastEventId: { name: 'last_event_id', type: 'bigint', default: 0 },
    startedAt: { name: 'started_at', type: 'timestamptz', nullable: true },
    finishedAt: { name: 'finished_at', type: 'timestamptz', nullable: true },
  },
  checks: [
    {
      name: 'run_goal_state',
      expression: `state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'not-run')`,
    },
  ],
});

export interface IngestionBatchRow {
  readonly workspaceId: number;
  readonly batchId: string;
  readonly requestHash: string;
  readonly result: unknown;
  readonly createdAt: Date;
}

export const ingestionBatchEntity = new EntitySchema<IngestionBatchRow>({
  name: 'ingestion_batch',
  schema: 'config',
  columns: {
    workspaceId: { ...workspaceId, primary: true, primaryKeyConstraintName: 'ingestion_batch_pk' },
    batchId: { ...text, name: 'batch_id', primary: true, primaryKeyConstraintName: 'ingestion_batch_pk' },
    requestHash: { ...text, name: 'request_hash' },
    result: { type: 'jsonb', nullable: true },
    createdAt,
  },
  indices: [{ name: 'ingestion_batch_age', columns: ['createdAt'] }],
});

/** Everything the `config` schema holds; a test compares them with what the migrations build. */
export const configEntities = [
  apiKeyEntity,
  connectionEntity,
  goalEntity,
  policyEntity,
  labelEntity,
  runEntity,
  runGoalEntity,
  ingestionBatchEntity,
  alertRuleEntity,
  alertIncidentEntity,
  alertDeliveryEntity,
  lateStreamEntity,
] as const;

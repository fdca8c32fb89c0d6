import type { AlertMessage, AlertRule } from '@millrace/domain';
import { EntitySchema, type EntitySchemaColumnOptions } from 'typeorm';

const id: EntitySchemaColumnOptions = { type: 'uuid', primary: true, default: () => 'uuidv7()' };
const createdAt: EntitySchemaColumnOptions = { name: 'created_at', type: 'timestamptz', default: () => 'now()' };
const updatedAt: EntitySchemaColumnOptions = { name: 'updated_at', type: 'timestamptz', default: () => 'now()' };
const workspaceId: EntitySchemaColumnOptions = { name: 'workspace_id', type: 'integer' };
const text: EntitySchemaColumnOptions = { type: 'text' };

export interface AlertRuleRow {
  readonly id: string;
  readonly workspaceId: number;
  readonly connectionId: string;
  readonly name: string;
  readonly active: boolean;
  /** Secrets are sealed with config-api's own key. */
  readonly document: AlertRule;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export const alertRuleEntity = new EntitySchema<AlertRuleRow>({
  name: 'alert_rule',
  schema: 'config',
  columns: {
    id: { ...id, primaryKeyConstraintName: 'alert_rule_pk' },
    workspaceId,
    connectionId: {
      name: 'connection_id',
      type: 'uuid',
      foreignKey: { target: 'connection', name: 'alert_rule_connection', onDelete: 'CASCADE' },
    },
    name: text,
    active: { type: 'boolean' },
    document: { type: 'jsonb' },
    createdAt,
    updatedAt,
  },
  uniques: [{ name: 'alert_rule_name_unique', columns: ['connectionId', 'name'] }],
});

/** Incidents, deliveries and late streams are read and written in SQL; these entities guard their shape. */
export interface AlertIncidentRow {
  readonly ruleId: string;
  readonly subject: string;
  readonly event: string;
  readonly openedAt: Date;
}

export const alertIncidentEntity = new EntitySchema<AlertIncidentRow>({
  name: 'alert_incident',
  schema: 'config',
  columns: {
    ruleId: {
      name: 'rule_id',
      type: 'uuid',
      primary: true,
      primaryKeyConstraintName: 'alert_incident_pk',
      foreignKey: { target: 'alert_rule', name: 'alert_incident_rule', onDelete: 'CASCADE' },
    },
    subject: { type: 'uuid', primary: true, primaryKeyConstraintName: 'alert_incident_pk' },
    event: { ...text, primary: true, primaryKeyConstraintName: 'alert_incident_pk' },
    openedAt: { name: 'opened_at', type: 'timestamptz', default: () => 'now()' },
  },
  indices: [{ name: 'alert_incident_subject', columns: ['subject'] }],
});

export interface AlertDeliveryRow {
  readonly id: string;
  readonly workspaceId: number;
  readonly connectionId: string;
  readonly ruleId: string;
  readonly occurrence: string;
  readonly channel: 'email' | 'webhook';
  readonly recipient: string;
  readonly message: Omit<AlertMessage, 'id'>;
  readonly state: 'pending' | 'sent' | 'failed';
  readonly attempts: number;
  readonly notBefore: Date;
  readonly triedSince: Date;
  readonly claimedUntil: Date | null;
  readonly error: unknown;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
}

export const alertDeliveryEntity = new EntitySchema<AlertDeliveryRow>({
  name: 'alert_delivery',
  schema: 'config',
  columns: {
    id: { ...id, primaryKeyConstraintName: 'alert_delivery_pk' },
    workspaceId,
    connectionId: { name: 'connection_id', type: 'uuid' },
    ruleId: { name: 'rule_id', type: 'uuid' },
    occurrence: text,
    channel: text,
    recipient: text,
    message: { type: 'jsonb' },
    state: { ...text, default: 'pending' },
    attempts: { type: 'integer', default: 0 },
    notBefore: { name: 'not_before', type: 'timestamptz', default: () => 'now()' },
    triedSince: { name: 'tried_since', type: 'timestamptz', default: () => 'now()' },
    claimedUntil: { name: 'claimed_until', type: 'timestamptz', nullable: true },
    error: { type: 'jsonb', nullable: true },
    createdAt,
    finishedAt: { name: 'finished_at', type: 'timestamptz', nullable: true },
  },
  checks: [
    { name: 'alert_delivery_channel', expression: `channel IN ('email', 'webhook')` },
    { name: 'alert_delivery_state', expression: `state IN ('pending', 'sent', 'failed')` },
  ],
  uniques: [{ name: 'alert_delivery_once', columns: ['ruleId', 'occurrence', 'channel', 'recipient'] }],
  indices: [
    { name: 'alert_delivery_due', columns: ['notBefore'], where: `state = 'pending'` },
    { name: 'alert_delivery_workspace', columns: ['workspaceId', 'id'] },
    { name: 'alert_delivery_age', columns: ['finishedAt'], where: 'finished_at IS NOT NULL' },
  ],
});

export interface LateStreamRow {
  readonly goalId: string;
  readonly since: Date;
}

export const lateStreamEntity = new EntitySchema<LateStreamRow>({
  name: 'late_stream',
  schema: 'config',
  columns: {
    goalId: {
      name: 'goal_id',
      type: 'uuid',
      primary: true,
      primaryKeyConstraintName: 'late_stream_pk',
      foreignKey: { target: 'goal', name: 'late_stream_goal', onDelete: 'CASCADE' },
    },
    since: { type: 'timestamptz', default: () => 'now()' },
  },
});

import { sql, type Executor } from '@millrace/database';
import { hears, type AlertEvent, type AlertMessage, type AlertRule } from '@millrace/domain';

/** A rule with what its messages name. */
export interface ListeningRule {
  readonly id: string;
  readonly workspaceId: number;
  readonly workspace: string;
  readonly connection: { readonly id: string; readonly name: string };
  /** Secrets are sealed. */
  readonly document: AlertRule;
}

/** What is told, beside what the rule adds to it. */
export type Told = Pick<AlertMessage, 'event' | 'recovered' | 'text' | 'goal' | 'run' | 'error' | 'figures'>;

/** What is going on that a rule hears of: a run, goal or connection, and the event. */
export interface Incident {
  readonly subject: string;
  readonly event: AlertEvent;
}

/**
 * Queues a message for each receiver of the rule, in the caller's transaction. `occurrence` names what happened: told of again, it is
 * not sent again. Returns the ids of the new deliveries.
 */
export async function queueAlert(
  tx: Executor,
  rule: ListeningRule,
  occurrence: string,
  told: Told,
): Promise<readonly string[]> {
  const { emails, webhooks, name } = rule.document;
  const receivers = [
    ...emails.map((recipient) => ({ channel: 'email', recipient })),
    ...webhooks.map(({ url }) => ({ channel: 'webhook', recipient: url })),
  ];
  const message: Omit<AlertMessage, 'id'> = {
    ...told,
    at: new Date().toISOString(),
    workspace: rule.workspace,
    connection: rule.connection,
    alert: { id: rule.id, name },
  };
  const { rows } = await tx.query<{ id: string }>(sql`
    INSERT INTO config.alert_delivery (workspace_id, connection_id, rule_id, occurrence, channel, recipient, message)
    SELECT ${rule.workspaceId}, ${rule.connection.id}, ${rule.id}, ${occurrence}, r.channel, r.recipient, ${JSON.stringify(message)}::jsonb
    FROM unnest(${receivers.map(({ channel }) => channel)}::text[], ${receivers.map(({ recipient }) => recipient)}::text[]) AS r (channel, recipient)
    ON CONFLICT DO NOTHING
    RETURNING id`);
  return rows.map(({ id }) => id);
}

/** Notes that something is going on, if the rule hears of it. Returns whether it began with this call, whichever process asks first. */
export async function openIncident(tx: Executor, rule: ListeningRule, { subject, event }: Incident): Promise<boolean> {
  if (!hears(rule.document, event)) return false;
  const { rowCount } = await tx.query(sql`
    INSERT INTO config.alert_incident (rule_id, subject, event)
    SELECT id, ${subject}::uuid, ${event} FROM config.alert_rule WHERE id = ${rule.id} FOR KEY SHARE
    ON CONFLICT DO NOTHING`);
  return rowCount > 0;
}

/** Notes that it is over; returns when it began if the rule was told of it, to one caller. */
export async function closeIncident(
  tx: Executor,
  rule: ListeningRule,
  { subject, event }: Incident,
): Promise<Date | undefined> {
  const { rows } = await tx.query<{ opened_at: Date }>(sql`
    DELETE FROM config.alert_incident WHERE rule_id = ${rule.id} AND subject = ${subject} AND event = ${event} RETURNING opened_at`);
  return rows[0]?.opened_at;
}

/** Forgets what is about a run that has ended, or a goal or connection that is gone, and was not closed because its rule was switched off. */
export async function forgetIncidents(executor: Executor): Promise<number> {
  const { rowCount } = await executor.query(sql`
    DELETE FROM config.alert_incident i
    WHERE NOT EXISTS (SELECT FROM config.goal g WHERE g.id = i.subject)
      AND NOT EXISTS (SELECT FROM config.connection c WHERE c.id = i.subject)
      AND NOT EXISTS (SELECT FROM config.run r WHERE r.id = i.subject AND r.state IN ('queued', 'running'))`);
  return rowCount;
}

interface RuleRow {
  readonly id: string;
  readonly workspace_id: number;
  readonly workspace: string;
  readonly connection_id: string;
  readonly connection: string;
  readonly document: string;
}

/** The active rules of these connections, by connection. */
export async function rulesOf(
  executor: Executor,
  connectionIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ListeningRule[]>> {
  const { rows } = await executor.query<RuleRow>(sql`
    SELECT a.id, a.workspace_id, w.name AS workspace, c.id AS connection_id, c.name AS connection, a.document
    FROM config.alert_rule a JOIN config.connection c ON c.id = a.connection_id JOIN profile.workspace w ON w.id = a.workspace_id
    WHERE a.connection_id = ANY(${connectionIds}::uuid[]) AND a.active ORDER BY a.id`);
  const rules = new Map<string, ListeningRule[]>();
  for (const row of rows) {
    const rule: ListeningRule = {
      id: row.id,
      workspaceId: row.workspace_id,
      workspace: row.workspace,
      connection: { id: row.connection_id, name: row.connection },
      document: JSON.parse(row.document) as AlertRule,
    };
    rules.set(row.connection_id, [...(rules.get(row.connection_id) ?? []), rule]);
  }
  return rules;
}

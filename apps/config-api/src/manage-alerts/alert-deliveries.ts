import { sql, type Executor } from '@millrace/database';
import { InputError, type AlertMessage } from '@millrace/domain';
import type { AlertDeliveryPage, AlertDeliveryQuery, AlertDeliveryView } from './alert-views.js';

interface DeliveryRow {
  readonly id: string;
  readonly rule_id: string;
  readonly connection_id: string;
  readonly channel: AlertDeliveryView['channel'];
  readonly recipient: string;
  readonly message: string;
  readonly state: AlertDeliveryView['state'];
  readonly attempts: number;
  readonly error: string | null;
  readonly not_before: Date;
  readonly created_at: Date;
  readonly finished_at: Date | null;
}

const columns = sql`id, rule_id, connection_id, channel, recipient, message, state, attempts, error, not_before, created_at, finished_at`;

/** The newest first. */
export async function listDeliveries(
  executor: Executor,
  workspaceId: number,
  { connectionId, alertId, state, before, limit }: AlertDeliveryQuery,
): Promise<AlertDeliveryPage> {
  const { rows } = await executor.query<DeliveryRow>(sql`
    SELECT ${columns} FROM config.alert_delivery
    WHERE workspace_id = ${workspaceId}
      AND (${connectionId ?? null}::uuid IS NULL OR connection_id = ${connectionId ?? null}::uuid)
      AND (${alertId ?? null}::uuid IS NULL OR rule_id = ${alertId ?? null}::uuid)
      AND (${state ?? null}::text IS NULL OR state = ${state ?? null}::text)
      AND (${before ?? null}::uuid IS NULL OR id < ${before ?? null}::uuid)
    ORDER BY id DESC LIMIT ${limit + 1}`);
  const items = rows.slice(0, limit).map(viewOfDelivery);
  return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

export async function readDeliveries(executor: Executor, ids: readonly string[]): Promise<AlertDeliveryView[]> {
  const { rows } = await executor.query<DeliveryRow>(
    sql`SELECT ${columns} FROM config.alert_delivery WHERE id = ANY(${ids}::uuid[]) ORDER BY id`,
  );
  return rows.map(viewOfDelivery);
}

/** Has one that was given up sent after all. @throws InputError `delivery-not-found`; `delivery-conflict` for one that was not given up. */
export async function sendAgain(executor: Executor, workspaceId: number, id: string): Promise<AlertDeliveryView> {
  const { rows } = await executor.query<DeliveryRow>(sql`
    UPDATE config.alert_delivery SET state = 'pending', not_before = now(), tried_since = now(), finished_at = NULL
    WHERE id = ${id} AND workspace_id = ${workspaceId} AND state = 'failed' RETURNING ${columns}`);
  if (rows[0] !== undefined) return viewOfDelivery(rows[0]);
  const known = await executor.query(
    sql`SELECT FROM config.alert_delivery WHERE id = ${id} AND workspace_id = ${workspaceId}`,
  );
  if (known.rowCount === 0)
    throw new InputError('delivery-not-found', 'there is no such alert message in this workspace');
  throw new InputError('delivery-conflict', 'only a message that was given up can be sent again');
}

function viewOfDelivery(row: DeliveryRow): AlertDeliveryView {
  return {
    id: row.id,
    alertId: row.rule_id,
    connectionId: row.connection_id,
    channel: row.channel,
    recipient: row.recipient,
    message: { id: row.id, ...(JSON.parse(row.message) as Omit<AlertMessage, 'id'>) },
    state: row.state,
    attempts: row.attempts,
    error: row.error === null ? null : (JSON.parse(row.error) as { code: string; message: string }),
    nextAttemptAt: row.state === 'pending' ? row.not_before.toISOString() : null,
    createdAt: row.created_at.toISOString(),
    finishedAt: row.finished_at?.toISOString() ?? null,
  };
}

import { sql, type Executor } from '@millrace/database';
import type { AlertMessage, AlertRule, ErrorSummary } from '@millrace/domain';

/** A message to one receiver that this process is to send now. */
export interface ClaimedAlert {
  readonly id: string;
  readonly workspaceId: number;
  readonly connectionId: string;
  readonly ruleId: string;
  readonly channel: 'email' | 'webhook';
  readonly recipient: string;
  readonly message: AlertMessage;
  /** This one included; a claim is known by it. */
  readonly attempts: number;
  readonly triedForMs: number;
  /** As it is now; undefined: it was deleted. */
  readonly rule: AlertRule | undefined;
}

interface Claim {
  readonly channel: ClaimedAlert['channel'];
  readonly limit: number;
  readonly claimSeconds: number;
}

interface ClaimedRow {
  readonly id: string;
  readonly workspace_id: number;
  readonly connection_id: string;
  readonly rule_id: string;
  readonly channel: 'email' | 'webhook';
  readonly recipient: string;
  readonly message: string;
  readonly attempts: number;
  readonly tried_for_ms: number;
  readonly rule: string | null;
}

/**
 * Takes the oldest messages of a channel that are due, one a receiver, and none for a receiver that is being sent to: one that hangs keeps one sender
 * busy, whatever waits for it. Claims of a process that was killed end after `claimSeconds`, and the message is sent again with its id.
 */
export async function claimAlerts(
  executor: Executor,
  { channel, limit, claimSeconds }: Claim,
): Promise<readonly ClaimedAlert[]> {
  const { rows } = await executor.query<ClaimedRow>(sql`
    WITH due AS (
      SELECT DISTINCT ON (d.recipient) d.id FROM config.alert_delivery d
      WHERE d.state = 'pending' AND d.channel = ${channel} AND d.not_before <= clock_timestamp() AND (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
        AND NOT EXISTS (
          SELECT FROM config.alert_delivery busy
          WHERE busy.state = 'pending' AND busy.channel = d.channel AND busy.recipient = d.recipient AND busy.claimed_until > clock_timestamp())
      ORDER BY d.recipient, d.not_before, d.id
    ), mine AS MATERIALIZED (
      SELECT d.id FROM config.alert_delivery d WHERE d.id IN (SELECT id FROM due) AND d.state = 'pending'
        AND (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
      ORDER BY d.not_before, d.id LIMIT ${limit}
      FOR UPDATE SKIP LOCKED
    )
    UPDATE config.alert_delivery d
    SET attempts = d.attempts + 1, claimed_until = clock_timestamp() + ${claimSeconds}::float8 * interval '1 second'
    FROM mine WHERE d.id = mine.id
    RETURNING d.id, d.workspace_id, d.connection_id, d.rule_id, d.channel, d.recipient, d.message, d.attempts,
      date_part('epoch', clock_timestamp() - d.tried_since) * 1000 AS tried_for_ms,
      (SELECT document FROM config.alert_rule a WHERE a.id = d.rule_id) AS rule`);
  return rows.map((row) => ({
    id: row.id,
    workspaceId: row.workspace_id,
    connectionId: row.connection_id,
    ruleId: row.rule_id,
    channel: row.channel,
    recipient: row.recipient,
    message: { id: row.id, ...(JSON.parse(row.message) as Omit<AlertMessage, 'id'>) },
    attempts: row.attempts,
    triedForMs: row.tried_for_ms,
    rule: row.rule === null ? undefined : (JSON.parse(row.rule) as AlertRule),
  }));
}

/** Keeps what is still being sent from being taken over. */
export async function renewClaims(
  executor: Executor,
  alerts: readonly Pick<ClaimedAlert, 'id' | 'attempts'>[],
  claimSeconds: number,
): Promise<void> {
  await executor.query(sql`
    UPDATE config.alert_delivery d SET claimed_until = clock_timestamp() + ${claimSeconds}::float8 * interval '1 second'
    FROM unnest(${alerts.map(({ id }) => id)}::uuid[], ${alerts.map(({ attempts }) => attempts)}::int[]) AS held (id, attempts)
    WHERE d.id = held.id AND d.attempts = held.attempts AND d.state = 'pending' AND d.claimed_until IS NOT NULL`);
}

/** What became of an attempt. `retryInMs` undefined: it is over, given up where there is an error. */
export interface AttemptEnd {
  readonly error?: ErrorSummary | undefined;
  readonly retryInMs?: number | undefined;
}

/** Writes an attempt's end down; does nothing when the claim is not this attempt's any more. */
export async function endAttempt(
  executor: Executor,
  { id, attempts }: Pick<ClaimedAlert, 'id' | 'attempts'>,
  { error, retryInMs }: AttemptEnd,
): Promise<void> {
  const state = retryInMs !== undefined ? 'pending' : error === undefined ? 'sent' : 'failed';
  await executor.query(sql`
    UPDATE config.alert_delivery SET state = ${state}, claimed_until = NULL,
      error = ${error === undefined ? null : JSON.stringify({ code: error.code, message: error.message })}::jsonb,
      not_before = clock_timestamp() + ${retryInMs ?? 0}::float8 * interval '1 millisecond',
      finished_at = CASE WHEN ${state} <> 'pending' THEN clock_timestamp() END
    WHERE id = ${id} AND attempts = ${attempts} AND state = 'pending'`);
}

/** How many wait to be sent, and the age in seconds of the oldest of them. */
export async function readAlertBacklog(
  executor: Executor,
): Promise<{ readonly pending: number; readonly oldestSeconds: number }> {
  const { rows } = await executor.query<{ pending: number; oldest: number }>(sql`
    SELECT count(*)::int AS pending, COALESCE(date_part('epoch', clock_timestamp() - min(tried_since)), 0) AS oldest
    FROM config.alert_delivery WHERE state = 'pending'`);
  return { pending: rows[0]?.pending ?? 0, oldestSeconds: Math.max(0, rows[0]?.oldest ?? 0) };
}

/** Removes what was sent or given up so many days ago, some thousand at most. Returns how many. */
export async function removeOldAlerts(executor: Executor, days: number): Promise<number> {
  const { rowCount } = await executor.query(sql`
    DELETE FROM config.alert_delivery WHERE id IN (
      SELECT id FROM config.alert_delivery WHERE finished_at < now() - ${days}::float8 * interval '1 day' LIMIT 5000)`);
  return rowCount;
}

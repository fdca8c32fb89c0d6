import { sql, type Database } from '@millrace/database';

export interface Retention {
  /** Handled run events and commands. Default 1 day. */
  readonly handledDays?: number;
  /** Runs whose units are all closed, with those units. Default 30 days. */
  readonly unitDays?: number;
}

/** Removes what nobody reads any more, some thousand rows at most of each. Returns the number of rows removed: call again while it is not 0. */
export async function removeExpiredWork(database: Database, retention: Retention = {}): Promise<number> {
  const handled = days(retention.handledDays ?? 1);
  const closed = days(retention.unitDays ?? 30);
  const statements = [
    sql`DELETE FROM work.run_event WHERE id IN (
      SELECT id FROM work.run_event WHERE handled_at < now() - ${handled} ORDER BY handled_at LIMIT 5000)`,
    // Those no release has been able to read.
    sql`DELETE FROM work.run_event WHERE id IN (
      SELECT id FROM work.run_event WHERE handled_at = 'infinity' AND at < now() - ${closed} LIMIT 5000)`,
    sql`DELETE FROM work.command WHERE id IN (
      SELECT id FROM work.command WHERE handled_at < now() - ${handled}
        OR kind = 'cancel-run' AND created_at < now() - ${closed}
          AND NOT EXISTS (SELECT FROM work.unit u WHERE u.run_id = command.run_id AND u.state IN ('ready', 'running'))
      LIMIT 5000)`,
    // Parts go with their parent (ON DELETE CASCADE), so a run is removed as a whole or not at all.
    sql`DELETE FROM work.unit WHERE id IN (
      SELECT u.id FROM work.unit u
      WHERE u.state IN ('done', 'failed', 'cancelled') AND u.updated_at < now() - ${closed} AND u.parent_id IS NULL
        AND NOT EXISTS (SELECT FROM work.unit open WHERE open.run_id = u.run_id AND open.state IN ('ready', 'running'))
      ORDER BY u.updated_at LIMIT 1000)`,
    sql`DELETE FROM work.goal_snapshot WHERE id IN (
      SELECT s.id FROM work.goal_snapshot s
      WHERE s.kind <> 'stream' AND s.created_at < now() - ${closed} AND NOT EXISTS (SELECT FROM work.unit u WHERE u.snapshot_id = s.id)
      LIMIT 1000)`,
    // A unit without a lease counts as one whose lease has ended.
    sql`DELETE FROM work.lease WHERE resource LIKE 'unit:%' AND expires_at < now() - interval '1 day'`,
    sql`DELETE FROM work.owner WHERE heartbeat_at < now() - interval '1 day'`,
  ];
  let removed = 0;
  for (const statement of statements) removed += (await database.query(statement)).rowCount;
  return removed;
}

function days(count: number): ReturnType<typeof sql> {
  return sql`${count}::float8 * interval '1 day'`;
}

import { sql, type Database } from '@millrace/database';
import { hears } from '@millrace/domain';
import { openIncident, queueAlert, rulesOf } from './queue-alerts.js';

/**
 * Tells of runs that are not over as long after they were asked for as a rule allows, whatever holds them up: a worker that is gone
 * tells nothing itself. Several instances may look side by side. Returns how many rules were told.
 */
export async function watchRuns(database: Database): Promise<number> {
  return database.transaction(async (tx) => {
    // Locked against their end, which closes what is opened here; one whose state is just being written is looked at next time.
    const { rows } = await tx.query<{ id: string; connection_id: string; minutes: number }>(sql`
      SELECT r.id, r.connection_id, date_part('epoch', clock_timestamp() - r.created_at) / 60 AS minutes FROM config.run r
      WHERE r.state IN ('queued', 'running') AND NOT r.dry_run
        AND EXISTS (
          SELECT FROM config.alert_rule a
          WHERE a.connection_id = r.connection_id AND a.active
            AND r.created_at < clock_timestamp() - (a.document ->> 'delayedAfterMinutes')::int * interval '1 minute'
            AND NOT EXISTS (
              SELECT FROM config.alert_incident i WHERE i.rule_id = a.id AND i.subject = r.id AND i.event = 'delayed'))
      ORDER BY r.id
      FOR SHARE OF r SKIP LOCKED`);
    if (rows.length === 0) return 0;
    const rules = await rulesOf(
      tx,
      rows.map(({ connection_id: id }) => id),
    );
    let told = 0;
    for (const { id, connection_id: connectionId, minutes } of rows) {
      for (const rule of rules.get(connectionId) ?? []) {
        const { delayedAfterMinutes } = rule.document;
        if (minutes < delayedAfterMinutes || !hears(rule.document, 'delayed')) continue;
        if (!(await openIncident(tx, rule, { subject: id, event: 'delayed' }))) continue;
        await queueAlert(tx, rule, `run:${id}:delayed`, {
          event: 'delayed',
          recovered: false,
          text: `connection "${rule.connection.name}": a run is not over ${Math.floor(minutes)} minutes after it was asked for`,
          run: { id },
          figures: { minutes: Math.floor(minutes), limitMinutes: delayedAfterMinutes },
        });
        told += 1;
      }
    }
    return told;
  });
}

import { sql, type Database } from '@millrace/database';
import { takeLeases, type Lease } from './lease.js';
import { toUnit, unitColumns, unitResource, type Unit, type UnitQueue, type UnitRow } from './unit.js';

export interface ClaimedUnit {
  readonly unit: Unit;
  readonly lease: Lease;
  /** Somebody asked to cancel its run. */
  readonly cancelled: boolean;
}

export interface ClaimOptions {
  readonly queues: readonly UnitQueue[];
  readonly owner: string;
  readonly leaseTtlMs: number;
}

/**
 * Takes one unit that is due, or whose worker's lease has ended. The workspace with the fewest running units goes first,
 * so a large one cannot crowd the others out; inside it the oldest unit.
 */
export async function claimUnit(database: Database, options: ClaimOptions): Promise<ClaimedUnit | undefined> {
  // Units whose ended backend would not go: others get their turn, the sweep comes back to these.
  const passedOver: string[] = [];
  for (let tries = 0; tries < 5; tries += 1) {
    const outcome = await tryClaim(database, options, passedOver);
    if (typeof outcome !== 'string') return outcome;
    passedOver.push(outcome);
  }
  return undefined;
}

async function tryClaim(
  database: Database,
  options: ClaimOptions,
  passedOver: readonly string[],
): Promise<ClaimedUnit | string | undefined> {
  return await database.transaction(async (tx) => {
    const { rows } = await tx.query<{ id: string }>(sql`
      WITH busy AS (
        SELECT workspace_id, count(*) AS running FROM work.unit
        WHERE queue = ANY(${options.queues}::text[]) AND state = 'running' GROUP BY workspace_id
      )
      SELECT u.id FROM work.unit u
      LEFT JOIN busy ON busy.workspace_id = u.workspace_id
      LEFT JOIN work.lease l ON l.resource = 'unit:' || u.id
      WHERE u.queue = ANY(${options.queues}::text[]) AND u.state IN ('ready', 'running')
        AND (u.state = 'ready' AND u.not_before <= clock_timestamp()
          OR u.state = 'running' AND (l.expires_at IS NULL OR l.expires_at < clock_timestamp()))
        AND u.id <> ALL(${passedOver}::uuid[])
      ORDER BY COALESCE(busy.running, 0), u.id
      LIMIT 1
      FOR NO KEY UPDATE OF u SKIP LOCKED`);
    const found = rows[0];
    if (found === undefined) return undefined;
    const resources = [unitResource(found.id)];
    const [lease] = await takeLeases(tx, { resources, owner: options.owner, ttlMs: options.leaseTtlMs });
    if (lease === undefined) return found.id;
    const { rows: claimed } = await tx.query<UnitRow & { cancelled: boolean }>(sql`
      UPDATE work.unit u SET state = 'running', attempts = attempts + 1, updated_at = clock_timestamp()
      WHERE u.id = ${found.id}
      RETURNING ${unitColumns},
        EXISTS (SELECT FROM work.command c WHERE c.kind = 'cancel-run' AND c.run_id = u.run_id) AS cancelled`);
    const row = claimed[0] as UnitRow & { cancelled: boolean };
    return { unit: toUnit(row), lease, cancelled: row.cancelled };
  });
}

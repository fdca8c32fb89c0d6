import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import { runEventBody, type RunEventBody } from '@millrace/domain';

export interface RunEvent {
  readonly id: string;
  readonly runId: string;
  readonly goalId: string;
  readonly unitId: string | undefined;
  readonly body: RunEventBody;
  readonly at: Date;
}

export interface RunEventTarget {
  readonly runId: string;
  readonly goalId: string;
  readonly unitId?: string | undefined;
}

/** Tells config-api about a goal, in the transaction whose work it tells of. Counts are totals. Wake `run-event` after commit. */
export async function writeRunEvent(executor: Executor, target: RunEventTarget, body: RunEventBody): Promise<void> {
  await executor.query(sql`
    INSERT INTO work.run_event (run_id, goal_id, unit_id, body)
    VALUES (${target.runId}, ${target.goalId}, ${target.unitId ?? null}, ${JSON.stringify(runEventBody.parse(body))})`);
}

interface RunEventRow {
  readonly id: string;
  readonly run_id: string;
  readonly goal_id: string;
  readonly unit_id: string | null;
  readonly body: string;
  readonly at: Date;
}

/** The reading side of run events, for the one service that keeps run history. */
export class RunEvents {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * The oldest unhandled events, in id order. Locks whole runs until the transaction ends: a run whose events another
   * reader holds is left out, so the events of one run are always handled in order.
   */
  async takeUnhandled(tx: Transaction, limit: number): Promise<readonly RunEvent[]> {
    const { rows: heads } = await tx.query<{ run_id: string }>(sql`
      SELECT e.run_id FROM work.run_event e
      WHERE e.handled_at IS NULL
        AND NOT EXISTS (SELECT FROM work.run_event older WHERE older.run_id = e.run_id AND older.handled_at IS NULL AND older.id < e.id)
      ORDER BY e.id LIMIT ${limit}
      FOR UPDATE OF e SKIP LOCKED`);
    if (heads.length === 0) return [];
    const { rows } = await tx.query<RunEventRow>(sql`
      SELECT id, run_id, goal_id, unit_id, body, at FROM work.run_event
      WHERE run_id = ANY(${heads.map((head) => head.run_id)}::uuid[]) AND handled_at IS NULL
      ORDER BY id LIMIT ${limit}
      FOR UPDATE`);
    return rows.map((row) => ({
      id: row.id,
      runId: row.run_id,
      goalId: row.goal_id,
      unitId: row.unit_id ?? undefined,
      body: runEventBody.parse(JSON.parse(row.body)),
      at: row.at,
    }));
  }

  async markHandled(tx: Transaction, events: readonly Pick<RunEvent, 'id'>[]): Promise<void> {
    if (events.length === 0) return;
    await tx.query(sql`
      UPDATE work.run_event SET handled_at = clock_timestamp() WHERE id = ANY(${events.map((event) => event.id)}::bigint[])`);
  }

  /** Takes up to `limit` events, gives them to `handler`, marks them handled, all in one transaction. Returns how many. */
  async handle(
    limit: number,
    handler: (tx: Transaction, events: readonly RunEvent[]) => Promise<void>,
  ): Promise<number> {
    return await this.#database.transaction(async (tx) => {
      const events = await this.takeUnhandled(tx, limit);
      if (events.length > 0) {
        await handler(tx, events);
        await this.markHandled(tx, events);
      }
      return events.length;
    });
  }
}

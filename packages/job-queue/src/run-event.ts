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

/** An event this release cannot read, as a newer worker writes it. */
export type UnreadableEvent = Omit<RunEvent, 'body' | 'at'>;

interface Taken {
  readonly events: readonly RunEvent[];
  readonly unreadable: readonly UnreadableEvent[];
}

/** The reading side of run events, for the one service that keeps run history. */
export class RunEvents {
  readonly #database: Database;
  readonly #onUnreadable: (event: UnreadableEvent) => void;

  /** `onUnreadable`: called for each event that was put aside because this release cannot read it. */
  constructor(database: Database, onUnreadable: (event: UnreadableEvent) => void = () => undefined) {
    this.#database = database;
    this.#onUnreadable = onUnreadable;
  }

  /**
   * The oldest unhandled events, in id order. Locks whole runs until the transaction ends: a run whose events another
   * reader holds is left out, so the events of one run are always handled in order. One that cannot be read is put aside, so
   * that it holds up no run; `readAgain` brings it back.
   */
  async takeUnhandled(tx: Transaction, limit: number): Promise<readonly RunEvent[]> {
    return (await this.#take(tx, limit)).events;
  }

  async #take(tx: Transaction, limit: number): Promise<Taken> {
    const { rows: heads } = await tx.query<{ run_id: string }>(sql`
      SELECT e.run_id FROM work.run_event e
      WHERE e.handled_at IS NULL
        AND NOT EXISTS (SELECT FROM work.run_event older WHERE older.run_id = e.run_id AND older.handled_at IS NULL AND older.id < e.id)
      ORDER BY e.id LIMIT ${limit}
      FOR UPDATE OF e SKIP LOCKED`);
    if (heads.length === 0) return { events: [], unreadable: [] };
    const { rows } = await tx.query<RunEventRow>(sql`
      SELECT id, run_id, goal_id, unit_id, body, at FROM work.run_event
      WHERE run_id = ANY(${heads.map((head) => head.run_id)}::uuid[]) AND handled_at IS NULL
      ORDER BY id LIMIT ${limit}
      FOR UPDATE`);
    const events: RunEvent[] = [];
    const unreadable: UnreadableEvent[] = [];
    for (const { id, run_id: runId, goal_id: goalId, unit_id: unitId, body, at } of rows) {
      const target = { id, runId, goalId, unitId: unitId ?? undefined };
      const parsed = runEventBody.safeParse(JSON.parse(body));
      if (parsed.success) events.push({ ...target, body: parsed.data, at });
      else unreadable.push(target);
    }
    if (unreadable.length > 0) {
      await tx.query(sql`
        UPDATE work.run_event SET handled_at = 'infinity' WHERE id = ANY(${unreadable.map(({ id }) => id)}::bigint[])`);
    }
    return { events, unreadable };
  }

  /** Gives what was put aside another try: when a newer release starts. */
  async readAgain(): Promise<void> {
    await this.#database.query(sql`UPDATE work.run_event SET handled_at = NULL WHERE handled_at = 'infinity'`);
  }

  async markHandled(tx: Transaction, events: readonly Pick<RunEvent, 'id'>[]): Promise<void> {
    if (events.length === 0) return;
    await tx.query(sql`
      UPDATE work.run_event SET handled_at = clock_timestamp() WHERE id = ANY(${events.map((event) => event.id)}::bigint[])`);
  }

  /** Takes up to `limit` events, gives those it can read to `handler`, marks them handled, all in one transaction. Returns how many it took. */
  async handle(
    limit: number,
    handler: (tx: Transaction, events: readonly RunEvent[]) => Promise<void>,
  ): Promise<number> {
    const { events, unreadable } = await this.#database.transaction(async (tx) => {
      const taken = await this.#take(tx, limit);
      if (taken.events.length > 0) {
        await handler(tx, taken.events);
        await this.markHandled(tx, taken.events);
      }
      return taken;
    });
    unreadable.forEach(this.#onUnreadable);
    return events.length + unreadable.length;
  }
}

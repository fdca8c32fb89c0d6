import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import { commandBody, type CommandBody } from '@millrace/domain';

export type CommandKind = CommandBody['kind'];
export type CommandOf<K extends CommandKind> = Extract<CommandBody, { kind: K }>;

/**
 * Commits a command with the caller's transaction. `cancel-run` is seen by the workers of the run within a second or so;
 * it holds for good: units opened for that run later are cancelled too. For the others wake `stream-lane` after commit.
 */
export async function sendCommand(executor: Executor, body: CommandBody): Promise<void> {
  const command = commandBody.parse(body);
  await executor.query(sql`
    INSERT INTO work.command (kind, run_id, goal_id, body)
    VALUES (${command.kind}, ${'runId' in command ? command.runId : null}, ${'goalId' in command ? command.goalId : null}, ${JSON.stringify(command)})`);
}

/**
 * Hands open commands of the given kinds to `handler`, each in a transaction of its own that also marks it handled, until
 * none is left. Those of one goal come in the order they were sent, one after another, however many services ask.
 * Returns how many were handled; what the handler throws leaves its command open and is rethrown.
 */
export async function takeCommands<K extends Exclude<CommandKind, 'cancel-run'>>(
  database: Database,
  kinds: readonly K[],
  handler: (tx: Transaction, command: CommandOf<K>) => Promise<void>,
): Promise<number> {
  let handled = 0;
  while (await takeOne(database, kinds, handler)) handled += 1;
  return handled;
}

async function takeOne<K extends CommandKind>(
  database: Database,
  kinds: readonly K[],
  handler: (tx: Transaction, command: CommandOf<K>) => Promise<void>,
): Promise<boolean> {
  return await database.transaction(async (tx) => {
    const { rows } = await tx.query<{ id: string; body: string }>(sql`
      SELECT c.id, c.body FROM work.command c
      WHERE c.handled_at IS NULL AND c.kind = ANY(${kinds}::text[])
        AND NOT EXISTS (
          SELECT FROM work.command older
          WHERE older.handled_at IS NULL AND older.kind = ANY(${kinds}::text[]) AND older.goal_id = c.goal_id AND older.id < c.id)
      ORDER BY c.id LIMIT 1
      FOR UPDATE OF c SKIP LOCKED`);
    const row = rows[0];
    if (row === undefined) return false;
    await handler(tx, commandBody.parse(JSON.parse(row.body)) as CommandOf<K>);
    await tx.query(sql`UPDATE work.command SET handled_at = clock_timestamp() WHERE id = ${row.id}`);
    return true;
  });
}

/** Since when the oldest command of these kinds waits, by goal: for whoever watches that they are carried out. */
export async function waitingCommands(
  executor: Executor,
  kinds: readonly CommandKind[],
): Promise<ReadonlyMap<string, Date>> {
  const { rows } = await executor.query<{ goal_id: string; since: Date }>(sql`
    SELECT goal_id, min(created_at) AS since FROM work.command
    WHERE handled_at IS NULL AND kind = ANY(${kinds}::text[]) AND goal_id IS NOT NULL GROUP BY goal_id`);
  return new Map(rows.map((row) => [row.goal_id, row.since]));
}

/** The oldest command of the goal that nobody has carried out yet and that fits. */
export async function findWaitingCommand<K extends CommandKind>(
  executor: Executor,
  goalId: string,
  kind: K,
  fits: (command: CommandOf<K>) => boolean,
): Promise<CommandOf<K> | undefined> {
  const { rows } = await executor.query<{ body: string }>(sql`
    SELECT body FROM work.command WHERE goal_id = ${goalId} AND kind = ${kind} AND handled_at IS NULL ORDER BY id`);
  return rows.map(({ body }) => commandBody.parse(JSON.parse(body)) as CommandOf<K>).find(fits);
}

/** Which of these runs somebody asked to cancel. */
export async function cancelledRuns(executor: Executor, runIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (runIds.length === 0) return new Set();
  const { rows } = await executor.query<{ run_id: string }>(
    sql`SELECT DISTINCT run_id FROM work.command WHERE kind = 'cancel-run' AND run_id = ANY(${runIds}::uuid[])`,
  );
  return new Set(rows.map((row) => row.run_id));
}

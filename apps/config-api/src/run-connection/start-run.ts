import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import { InputError, type Connection, type Goal, type GoalKind, type GoalSnapshot } from '@millrace/domain';
import { sendCommand, type WakeUps } from '@millrace/job-queue';
import { lockDefinitions } from '@millrace/profile-store';
import { checkGoals } from '../govern/check-goals.js';
import { endpointForGoal, type SealingKeys } from '../manage-connections/connection-secrets.js';
import { leaveOutTooSoon } from './leave-out-too-soon.js';
import { openGoalOfRun, wakeUnits, type OpenedUnit } from './open-goal.js';
import { isOver, type RunOptions, type RunView } from './run-views.js';
import { noConnection } from '../manage-connections/no-connection.js';

// Groups first, which profiles are linked to; exports last, so that what leaves is up to date. Streams run on their own.
const rank = { 'import-groups': 0, 'import-profiles': 1, 'export-profiles': 2 } as const satisfies Partial<
  Record<GoalKind, number>
>;

interface GoalToRun {
  readonly id: string;
  readonly goal: Exclude<Goal, { kind: 'stream' }>;
}

/** Opens and cancels runs of connections. */
export class StartRun {
  readonly #database: Database;
  readonly #keys: SealingKeys;
  readonly #wakeUps: WakeUps;

  constructor(database: Database, keys: SealingKeys, wakeUps: WakeUps) {
    this.#database = database;
    this.#keys = keys;
    this.#wakeUps = wakeUps;
  }

  /**
   * Freezes the active goals of the connection and hands the first one over. Returns the run's id.
   * @throws InputError `connection-not-found`; `run-conflict` while a run of the connection is under way; `nothing-to-run-conflict`;
   *   `policy-conflict` where a goal breaks a policy; `too-soon-conflict` where only exports are left out.
   */
  async start(workspaceId: number, connectionId: string, requestedBy: string, options: RunOptions): Promise<string> {
    const { runId, unit } = await this.#database.transaction(async (tx) => {
      const connection = await lockConnection(tx, workspaceId, connectionId);
      if (await hasOpenRun(tx, connectionId)) {
        throw new InputError('run-conflict', 'a run of this connection is under way: wait for its end or cancel it');
      }
      const wanted = (await goalsToRun(tx, connectionId)).filter(
        ({ goal }) => !options.dryRun || goal.kind !== 'export-profiles',
      );
      const { goals, nextAt } = await leaveOutTooSoon(tx, wanted, connection.document);
      const [first] = goals;
      if (!connection.active)
        throw new InputError('nothing-to-run-conflict', 'the connection is switched off: set active to true');
      if (first === undefined && nextAt !== undefined)
        throw new InputError(
          'too-soon-conflict',
          `the last export was delivered less than the connection's minExportIntervalMinutes ago: the next may run at ${nextAt.toISOString()}`,
        );
      if (first === undefined)
        throw new InputError(
          'nothing-to-run-conflict',
          options.dryRun
            ? 'the connection has no active import goal'
            : 'the connection has no active import or export goal',
        );
      await lockDefinitions(tx, workspaceId, 'shared');
      await checkGoals(
        tx,
        goals.map(({ goal }) => ({ workspaceId, document: goal })),
        connection,
      );
      const inserted = await tx.query<{ id: string }>(sql`
        INSERT INTO config.run (workspace_id, connection_id, connection_name, state, requested_by, repeat_sums, dry_run)
        VALUES (${workspaceId}, ${connectionId}, ${connection.document.name}, 'queued', ${requestedBy}, ${options.repeatSums}, ${options.dryRun}) RETURNING id`);
      const run = inserted.rows[0]!.id;
      for (const [index, { id, goal }] of goals.entries()) {
        const endpoint = endpointForGoal(connection.document, goal.kind, this.#keys, { workspaceId, connectionId });
        const { consentObjectives } = connection.document;
        const snapshot = {
          version: 1,
          workspaceId,
          connectionId,
          connectionName: connection.document.name,
          goalId: id,
          goal,
          endpoint,
          consentObjectives,
          ...importGuardrailsOf(connection.document, goal),
        };
        await tx.query(sql`
          INSERT INTO config.run_goal (run_id, goal_id, position, kind, name, state, snapshot)
          VALUES (${run}, ${id}, ${index + 1}, ${goal.kind}, ${goal.name}, ${index === 0 ? 'queued' : 'waiting'}, ${JSON.stringify(snapshot)}::jsonb)`);
      }
      return { runId: run, unit: await openGoalOfRun(tx, run, first.id) };
    });
    await wakeUnits(this.#wakeUps, [unit satisfies OpenedUnit]);
    return runId;
  }

  /**
   * Asks the workers of the run to stop. The run is over when they say so; a goal that can no longer be taken back (an export
   * whose manifest is begun) still succeeds, and what would follow it does not run.
   * @throws InputError `run-not-found`, `run-over-conflict`.
   */
  async cancel(workspaceId: number, runId: string): Promise<void> {
    await this.#database.transaction(async (tx) => {
      const { rows } = await tx.query<{ state: RunView['state']; cancel_requested_at: Date | null }>(sql`
        SELECT state, cancel_requested_at FROM config.run WHERE id = ${runId} AND workspace_id = ${workspaceId} FOR UPDATE`);
      const [run] = rows;
      if (run === undefined) throw new InputError('run-not-found', 'there is no such run in this workspace');
      if (isOver(run.state)) throw new InputError('run-over-conflict', `the run is over already: it has ${run.state}`);
      if (run.cancel_requested_at !== null) return;
      await tx.query(
        sql`UPDATE config.run SET cancel_requested_at = clock_timestamp(), revision = revision + 1 WHERE id = ${runId}`,
      );
      await sendCommand(tx, { kind: 'cancel-run', runId });
    });
  }
}

/** Ask under the connection's lock: runs are opened under it. */
export async function hasOpenRun(executor: Executor, connectionId: string): Promise<boolean> {
  const { rows } = await executor.query(sql`
    SELECT FROM config.run WHERE connection_id = ${connectionId} AND state IN ('queued', 'running')`);
  return rows.length > 0;
}

async function lockConnection(
  tx: Transaction,
  workspaceId: number,
  connectionId: string,
): Promise<{ readonly active: boolean; readonly document: Connection }> {
  const { rows } = await tx.query<{ active: boolean; document: string }>(sql`
    SELECT active, document FROM config.connection WHERE id = ${connectionId} AND workspace_id = ${workspaceId} FOR UPDATE`);
  const [row] = rows;
  if (row === undefined) throw noConnection();
  return { active: row.active, document: JSON.parse(row.document) as Connection };
}

async function goalsToRun(tx: Transaction, connectionId: string): Promise<readonly GoalToRun[]> {
  const { rows } = await tx.query<{ id: string; document: string }>(sql`
    SELECT id, document FROM config.goal WHERE connection_id = ${connectionId} AND active ORDER BY position, id`);
  return rows
    .map(({ id, document }) => ({ id, goal: JSON.parse(document) as Goal }))
    .flatMap(({ id, goal }) => (goal.kind === 'stream' ? [] : [{ id, goal }]))
    .sort((left, right) => rank[left.goal.kind] - rank[right.goal.kind]);
}

/** What the connection holds for imports; the rest of its guardrails has been looked at. */
function importGuardrailsOf(connection: Connection, goal: Goal): Pick<GoalSnapshot, 'guardrails'> {
  if (connection.kind !== 's3' || (goal.kind !== 'import-profiles' && goal.kind !== 'import-groups')) return {};
  const { existingProfilesOnly, unit } = connection.guardrails;
  return { guardrails: { existingProfilesOnly, ...(unit === undefined ? {} : { unit }) } };
}

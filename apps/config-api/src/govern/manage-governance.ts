import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import {
  type Connection,
  type Goal,
  goal as goalSchema,
  InputError,
  type Labelled,
  type Policy,
} from '@millrace/domain';
import { sendCommand, type WakeUps } from '@millrace/job-queue';
import { loadCatalogue, lockDefinitions } from '@millrace/profile-store';
import { brokenPolicies } from './check-policies.js';
import { listLabelled, listPolicies, loadGovernance, type PolicyRecord } from './load-governance.js';

/** A goal that was saved before a policy or label forbade what it does. */
export interface BrokenGoal {
  readonly goalId: string;
  readonly name: string;
  readonly field: string;
  readonly message: string;
  /** A stream that ran: it does not any more. An export is refused when it is to run. */
  readonly stopped: boolean;
}

/** Policies and labels. Whatever they forbid from now on is named, and streams that do it are switched off with the change. */
export class ManageGovernance {
  readonly #database: Database;
  readonly #wakeUps: WakeUps;

  constructor(database: Database, wakeUps: WakeUps) {
    this.#database = database;
    this.#wakeUps = wakeUps;
  }

  async policies(workspaceId: number): Promise<readonly PolicyRecord[]> {
    return listPolicies(this.#database, workspaceId);
  }

  async labels(workspaceId: number): Promise<readonly Labelled[]> {
    return listLabelled(this.#database, workspaceId);
  }

  /** @throws InputError `policy-conflict` for a taken name. */
  async createPolicy(
    workspaceId: number,
    policy: Policy,
  ): Promise<{ record: PolicyRecord; broken: readonly BrokenGoal[] }> {
    return this.#changing(workspaceId, async (tx) => {
      const { rows } = await tx.query<PolicyRecord>(sql`
        INSERT INTO config.policy (workspace_id, name, label, action) VALUES (${workspaceId}, ${policy.name}, ${policy.label}, ${policy.action})
        ON CONFLICT DO NOTHING RETURNING id, name, label, action, created_at AS "createdAt"`);
      const [record] = rows;
      if (record === undefined)
        throw new InputError('policy-conflict', `the policy ${JSON.stringify(policy.name)} exists already`, {
          at: 'name',
        });
      return record;
    });
  }

  /** @throws InputError `policy-not-found`. */
  async deletePolicy(workspaceId: number, id: string): Promise<void> {
    const { rowCount } = await this.#database.query(
      sql`DELETE FROM config.policy WHERE id = ${id} AND workspace_id = ${workspaceId}`,
    );
    if (rowCount === 0) throw new InputError('policy-not-found', 'there is no such policy in this workspace');
  }

  /** Replaces the labels of one thing. @throws InputError `labelled-not-found`. */
  async setLabels(
    workspaceId: number,
    labelled: Labelled,
  ): Promise<{ record: Labelled; broken: readonly BrokenGoal[] }> {
    return this.#changing(workspaceId, async (tx) => {
      await checkExists(tx, workspaceId, labelled);
      const { kind, name, labels } = labelled;
      if (kind === 'property')
        await tx.query(
          sql`UPDATE profile.property SET labels = ${labels}::text[] WHERE workspace_id = ${workspaceId} AND name = ${name}`,
        );
      else
        await tx.query(sql`
          INSERT INTO config.label (workspace_id, kind, name, labels) VALUES (${workspaceId}, ${kind}, ${name}, ${labels}::text[])
          ON CONFLICT (workspace_id, kind, name) DO UPDATE SET labels = excluded.labels`);
      return labelled;
    });
  }

  async #changing<T>(
    workspaceId: number,
    change: (tx: Transaction) => Promise<T>,
  ): Promise<{ record: T; broken: readonly BrokenGoal[] }> {
    const done = await this.#database.transaction(async (tx) => {
      // Goals are saved under the same lock, shared: each is either judged by the change or seen by it.
      await lockDefinitions(tx, workspaceId, 'exclusive');
      const record = await change(tx);
      return { record, broken: await stopBroken(tx, workspaceId) };
    });
    if (done.broken.some(({ stopped }) => stopped)) await this.#wakeUps.wake('stream-lane', { version: 1 });
    return done;
  }
}

async function stopBroken(tx: Transaction, workspaceId: number): Promise<readonly BrokenGoal[]> {
  const governance = await loadGovernance(tx, workspaceId);
  if (governance.policies.length === 0) return [];
  const catalogue = await loadCatalogue(tx, workspaceId);
  const broken: BrokenGoal[] = [];
  for (const { id, name, active, goal, connection } of await allGoals(tx, workspaceId)) {
    const [complaint] = brokenPolicies(goal, connection, governance, catalogue);
    if (complaint === undefined) continue;
    const stopped = goal.kind === 'stream' && active;
    if (stopped) {
      await tx.query(sql`
        UPDATE config.goal SET active = false, document = jsonb_set(document, '{active}', 'false'), updated_at = now() WHERE id = ${id}`);
      await sendCommand(tx, { kind: 'deactivate-stream', goalId: id });
    }
    broken.push({ goalId: id, name, field: complaint.path.join('.'), message: complaint.message, stopped });
  }
  return broken;
}

interface SavedGoal {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  readonly goal: Goal;
  readonly connection: Connection;
}

async function allGoals(executor: Executor, workspaceId: number): Promise<readonly SavedGoal[]> {
  const { rows } = await executor.query<{
    id: string;
    name: string;
    active: boolean;
    goal: string;
    connection: string;
  }>(sql`
    SELECT g.id, g.name, g.active, g.document AS goal, c.document AS connection
    FROM config.goal g JOIN config.connection c ON c.id = g.connection_id WHERE g.workspace_id = ${workspaceId} ORDER BY g.name, g.id`);
  return rows.flatMap(({ goal, connection, ...row }) => {
    const parsed = goalSchema.safeParse(JSON.parse(goal));
    // A goal no longer understood cannot run either. The secrets of a connection are sealed here.
    return parsed.success ? [{ ...row, goal: parsed.data, connection: JSON.parse(connection) as Connection }] : [];
  });
}

async function checkExists(tx: Transaction, workspaceId: number, { kind, name }: Labelled): Promise<void> {
  const { rows } = await tx.query<{ found: boolean }>(sql`SELECT CASE ${kind}
    WHEN 'property' THEN EXISTS (SELECT FROM profile.property WHERE workspace_id = ${workspaceId} AND name = ${name})
    WHEN 'segment' THEN EXISTS (SELECT FROM profile.segment WHERE workspace_id = ${workspaceId} AND id::text = ${name})
    WHEN 'event-type' THEN EXISTS (SELECT FROM profile.event_type WHERE workspace_id = ${workspaceId} AND code = ${name})
    WHEN 'group-type' THEN EXISTS (SELECT FROM profile.group_type WHERE workspace_id = ${workspaceId} AND code = ${name})
    ELSE EXISTS (SELECT FROM config.goal WHERE workspace_id = ${workspaceId} AND id::text = ${name} AND kind LIKE 'import-%') END AS found`);
  if (rows[0]?.found !== true)
    throw new InputError('labelled-not-found', `the workspace has no ${kind} ${JSON.stringify(name)}`, { at: 'name' });
}

import type { Executor } from '@millrace/database';
import { goal as goalSchema, InputError, type Goal } from '@millrace/domain';
import type { WakeUps } from '@millrace/job-queue';
import { addMissingProperties, loadCatalogue, lockDefinitions } from '@millrace/profile-store';
import { ValidationError } from '@millrace/service-kit';
import { isDeepStrictEqual } from 'node:util';
import { brokenPolicies } from '../govern/check-policies.js';
import { loadGovernance } from '../govern/load-governance.js';
import { checkSigning, type SealingKeys } from '../manage-connections/connection-secrets.js';
import type { ConfigStorage, ConfigTransaction } from '../storage/config-storage.js';
import type { ConnectionRow, GoalRow } from '../storage/entities.js';
import { validateGoal } from '../validate-goal/validate-goal.js';
import { completeMappings, mayBringProperty, withMissing } from './complete-mappings.js';
import type { GoalChange, GoalWarning } from './goal-views.js';
import { forgetGoal } from './forget-goal.js';
import { goalWarnings } from './goal-warnings.js';
import { commandStream, isStreaming } from './stream-commands.js';
import { noConnection } from '../manage-connections/no-connection.js';

export interface SavedGoal {
  readonly row: GoalRow;
  /** Properties that were added with it. */
  readonly added: ReadonlySet<string>;
}

export class ManageGoals {
  readonly #storage: ConfigStorage;
  readonly #executor: Executor;
  readonly #keys: SealingKeys;
  readonly #wakeUps: WakeUps;

  constructor(storage: ConfigStorage, executor: Executor, keys: SealingKeys, wakeUps: WakeUps) {
    this.#storage = storage;
    this.#executor = executor;
    this.#keys = keys;
    this.#wakeUps = wakeUps;
  }

  /** In the user's order. @throws InputError `connection-not-found`. */
  async list(workspaceId: number, connectionId: string): Promise<readonly GoalRow[]> {
    return this.#storage.read(async ({ connections, goals }) => {
      if ((await connections.find(workspaceId, connectionId)) === null) throw noConnection();
      return goals.list(connectionId);
    });
  }

  /** @throws InputError `goal-not-found`. */
  async get(workspaceId: number, id: string): Promise<GoalRow> {
    const row = await this.#storage.read(({ goals }) => goals.find(workspaceId, id));
    if (row === null) throw noGoal();
    return row;
  }

  /** What of a saved goal works, but may not be meant. */
  async warnings({ row, added }: SavedGoal): Promise<GoalWarning[]> {
    return goalWarnings(this.#executor, row, added);
  }

  /** Last in the order. An active stream goal starts at once. @throws ValidationError naming each field that does not fit. */
  async create(workspaceId: number, connectionId: string, sent: Goal): Promise<SavedGoal> {
    return this.#inConnection(workspaceId, connectionId, async (tx, connection) => {
      const { goal, added } = await this.#validate(tx, workspaceId, sent, connection);
      const row = await tx.goals.insert(workspaceId, connectionId, goal);
      const change = { goal: row, connection, before: false, after: isStreaming(row, connection) };
      return { result: { row, added }, told: await commandStream(tx.executor, change, this.#keys) };
    });
  }

  /** Runs under way keep the goal they began with; a stream follows at once. */
  async change(workspaceId: number, id: string, change: GoalChange): Promise<SavedGoal> {
    const { connectionId } = await this.get(workspaceId, id);
    return this.#inConnection(workspaceId, connectionId, async (tx, connection) => {
      const before = await tx.goals.find(workspaceId, id);
      if (before === null) throw noGoal();
      const sent = goalSchema.parse({ ...before.document, ...change });
      if (sent.kind !== before.kind)
        throw new ValidationError([{ field: 'kind', message: `stays "${before.kind}": make a new goal instead` }]);
      const { goal, added } = await this.#validate(tx, workspaceId, sent, connection);
      const row = await tx.goals.update(id, goal);
      const stream = {
        goal: row,
        connection,
        before: isStreaming(before, connection),
        after: isStreaming(row, connection),
      };
      const unchanged = stream.before && stream.after && sameStream(before.document, goal);
      return { result: { row, added }, told: !unchanged && (await commandStream(tx.executor, stream, this.#keys)) };
    });
  }

  async delete(workspaceId: number, id: string): Promise<void> {
    const { connectionId } = await this.get(workspaceId, id);
    await this.#inConnection(workspaceId, connectionId, async (tx, connection) => {
      const goal = await tx.goals.find(workspaceId, id);
      if (goal === null) throw noGoal();
      const change = { goal, connection, before: isStreaming(goal, connection), after: false, deleted: true };
      const told = await commandStream(tx.executor, change, this.#keys);
      await forgetGoal(tx.executor, goal);
      await tx.goals.delete(id);
      return { result: undefined, told };
    });
  }

  /** @throws ValidationError unless `goalIds` names every goal of the connection once. */
  async reorder(workspaceId: number, connectionId: string, goalIds: readonly string[]): Promise<readonly GoalRow[]> {
    return this.#inConnection(workspaceId, connectionId, async (tx) => {
      const known = (await tx.goals.list(connectionId)).map(({ id }) => id);
      if (!isDeepStrictEqual([...known].sort(), [...goalIds].sort())) {
        throw new ValidationError([
          { field: 'goalIds', message: `must name each of the ${known.length} goals of the connection once` },
        ]);
      }
      await tx.goals.reorder(connectionId, goalIds);
      return { result: await tx.goals.list(connectionId), told: false };
    });
  }

  async #inConnection<T>(
    workspaceId: number,
    connectionId: string,
    work: (tx: ConfigTransaction, connection: ConnectionRow) => Promise<{ readonly result: T; readonly told: boolean }>,
  ): Promise<T> {
    const { result, told } = await this.#storage.transaction(async (tx) => {
      const connection = await tx.connections.lock(workspaceId, connectionId);
      if (connection === null) throw noConnection();
      return work(tx, connection);
    });
    if (told) await this.#wakeUps.wake('stream-lane', { version: 1 });
    return result;
  }

  /** The goal as it is to be saved. What it maps to and brings with it is added to the workspace. */
  async #validate(
    tx: ConfigTransaction,
    workspaceId: number,
    sent: Goal,
    connection: ConnectionRow,
  ): Promise<{ readonly goal: Goal; readonly added: ReadonlySet<string> }> {
    // What the goal names stays until it is saved: a segment is deleted under the same lock, held alone. So is a group type changed.
    const changesType = sent.kind === 'import-groups' && sent.mappings.some(mayBringProperty);
    await lockDefinitions(tx.executor, workspaceId, changesType ? 'exclusive' : 'shared');
    const present = await loadCatalogue(this.#executor, workspaceId);
    const { goal, missing, groupType } = completeMappings(sent, present);
    const catalogue = withMissing(present, missing, groupType);
    const complaints = [
      ...validateGoal(goal, connection.document, catalogue),
      ...brokenPolicies(goal, connection.document, await loadGovernance(this.#executor, workspaceId), catalogue),
    ];
    if (complaints.length > 0)
      throw new ValidationError(complaints.map(({ path, message }) => ({ field: path.join('.'), message })));
    if (goal.kind === 'export-profiles' && goal.pgp.sign) {
      const owner = { workspaceId, connectionId: connection.id };
      await checkSigning(connection.document, this.#keys['config-api'], owner);
    }
    if (missing.length > 0) await addMissingProperties(tx.executor, workspaceId, groupType, missing);
    return { goal, added: new Set(missing.map(({ name }) => name)) };
  }
}

/** A new name alone is no reason to start a stream over. */
function sameStream(left: Goal, right: Goal): boolean {
  return isDeepStrictEqual({ ...left, name: '' }, { ...right, name: '' });
}

function noGoal(): InputError {
  return new InputError('goal-not-found', 'there is no such goal in this workspace');
}

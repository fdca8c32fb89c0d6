import type { Executor } from '@millrace/database';
import { InputError, type Connection, type GoalEndpoint } from '@millrace/domain';
import type { WakeUps } from '@millrace/job-queue';
import { lockDefinitions } from '@millrace/profile-store';
import { isDeepStrictEqual } from 'node:util';
import { forgetGoal } from '../manage-goals/forget-goal.js';
import { commandStream, isStreaming } from '../manage-goals/stream-commands.js';
import type { ConfigStorage, ConfigTransaction } from '../storage/config-storage.js';
import type { ConnectionRow, GoalRow } from '../storage/entities.js';

import { changeConnection } from './change-connection.js';
import {
  checkSecrets,
  endpointForGoal,
  openConnection,
  sealConnection,
  type SealingKeys,
} from './connection-secrets.js';
import type { ConnectionChange } from './connection-views.js';
import { noConnection } from './no-connection.js';

/** Refuses what goals of a connection as it is to be would break. */
export type GoalsCheck = (goals: readonly GoalRow[], connection: ConnectionRow) => Promise<void>;

/** Whether a run of the connection is under way, asked inside the transaction that holds the connection's lock. */
export type OpenRunCheck = (executor: Executor, connectionId: string) => Promise<boolean>;

export class ManageConnections {
  readonly #storage: ConfigStorage;
  readonly #keys: SealingKeys;
  readonly #wakeUps: WakeUps;
  readonly #hasOpenRun: OpenRunCheck;
  readonly #checkGoals: GoalsCheck;

  constructor(
    storage: ConfigStorage,
    keys: SealingKeys,
    wakeUps: WakeUps,
    hasOpenRun: OpenRunCheck,
    checkGoals: GoalsCheck,
  ) {
    this.#storage = storage;
    this.#keys = keys;
    this.#wakeUps = wakeUps;
    this.#hasOpenRun = hasOpenRun;
    this.#checkGoals = checkGoals;
  }

  async list(workspaceId: number): Promise<readonly ConnectionRow[]> {
    return this.#storage.read(({ connections }) => connections.list(workspaceId));
  }

  /** @throws InputError `connection-not-found`. */
  async get(workspaceId: number, id: string): Promise<ConnectionRow> {
    return found(await this.#storage.read(({ connections }) => connections.find(workspaceId, id)));
  }

  /** The connection with its secrets opened, for trying it out. Never leaves the process. */
  async getOpen(workspaceId: number, id: string): Promise<Connection> {
    return this.#open(await this.get(workspaceId, id));
  }

  /** Where imports of the connection find their bucket, the secrets sealed for the importer. @throws InputError `connection-not-found`, `connection-kind` */
  async importEndpoint(workspaceId: number, id: string): Promise<GoalEndpoint> {
    const { document } = await this.get(workspaceId, id);
    if (document.kind !== 's3')
      throw new InputError('connection-kind', 'a stream has no files: choose a connection to a bucket');
    return endpointForGoal(document, 'import-profiles', this.#keys, { workspaceId, connectionId: id });
  }

  /** @throws InputError `connection-conflict` for a taken name; naming the field of an unusable PGP key. */
  async create(workspaceId: number, connection: Connection): Promise<ConnectionRow> {
    await checkSecrets(connection);
    return this.#storage.transaction(async ({ connections }) => {
      const id = await connections.nextId();
      const sealed = sealConnection(connection, this.#keys['config-api'], { workspaceId, connectionId: id });
      return connections.insert(workspaceId, id, sealed);
    });
  }

  /** Streams of the connection follow the change at once; runs under way keep what they began with. */
  async change(workspaceId: number, id: string, change: ConnectionChange): Promise<ConnectionRow> {
    const { row, told } = await this.#storage.transaction(async (tx) => {
      const before = found(await tx.connections.lock(workspaceId, id));
      const openBefore = this.#open(before);
      const openAfter = changeConnection(openBefore, change);
      await checkSecrets(openAfter);
      const sealed = sealConnection(openAfter, this.#keys['config-api'], { workspaceId, connectionId: id });
      const after = await tx.connections.update(id, sealed);
      if (change.marketingActions !== undefined || change.guardrails !== undefined) {
        // Policies change under the same lock, held alone.
        await lockDefinitions(tx.executor, workspaceId, 'shared');
        await this.#checkGoals(await tx.goals.list(id), after);
      }
      const concernsStreams =
        before.active !== after.active ||
        !sameEndpoint(openBefore, openAfter) ||
        !sameObjectives(openBefore, openAfter);
      return { row: after, told: concernsStreams && (await this.#commandStreams(tx, before, after)) };
    });
    if (told) await this.#wakeUps.wake('stream-lane', { version: 1 });
    return row;
  }

  /** Its goals go with it and its streams stop; the history of its runs stays. @throws InputError `run-conflict` while one is under way. */
  async delete(workspaceId: number, id: string): Promise<void> {
    const told = await this.#storage.transaction(async (tx) => {
      const connection = found(await tx.connections.lock(workspaceId, id));
      if (await this.#hasOpenRun(tx.executor, id)) {
        throw new InputError('run-conflict', 'a run of this connection is under way: cancel it or wait for its end');
      }
      const stopped = await this.#commandStreams(tx, connection, { ...connection, active: false }, true);
      for (const goal of await tx.goals.list(id)) await forgetGoal(tx.executor, goal);
      await tx.connections.delete(id);
      return stopped;
    });
    if (told) await this.#wakeUps.wake('stream-lane', { version: 1 });
  }

  async #commandStreams(
    tx: ConfigTransaction,
    before: ConnectionRow,
    after: ConnectionRow,
    deleted = false,
  ): Promise<boolean> {
    let told = false;
    for (const goal of await tx.goals.list(after.id)) {
      const change = {
        goal,
        connection: after,
        before: isStreaming(goal, before),
        after: isStreaming(goal, after),
        deleted,
      };
      told = (await commandStream(tx.executor, change, this.#keys)) || told;
    }
    return told;
  }

  #open(row: ConnectionRow): Connection {
    return openConnection(row.document, this.#keys['config-api'], {
      workspaceId: row.workspaceId,
      connectionId: row.id,
    });
  }
}

function sameEndpoint(left: Connection, right: Connection): boolean {
  return (
    left.region === right.region &&
    left.endpoint === right.endpoint &&
    isDeepStrictEqual(left.credentials, right.credentials)
  );
}

function sameObjectives(left: Connection, right: Connection): boolean {
  return isDeepStrictEqual([...left.consentObjectives].sort(), [...right.consentObjectives].sort());
}

function found(row: ConnectionRow | null): ConnectionRow {
  if (row === null) throw noConnection();
  return row;
}

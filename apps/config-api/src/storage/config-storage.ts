import { InputError, TransientError } from '@millrace/domain';
import type { Executor } from '@millrace/database';
import { DataSource, QueryFailedError, type EntityManager } from 'typeorm';
import { AlertRuleStore } from './alert-rule-store.js';
import { ApiKeyStore } from './api-key-store.js';
import { ConnectionStore } from './connection-store.js';
import { configEntities } from './entities.js';
import { GoalStore } from './goal-store.js';

export interface ConfigStorageOptions {
  readonly url: string;
  readonly maxConnections?: number;
  readonly onIdleError?: (error: Error) => void;
}

/** The tables people edit. */
export interface ConfigTables {
  readonly alertRules: AlertRuleStore;
  readonly apiKeys: ApiKeyStore;
  readonly connections: ConnectionStore;
  readonly goals: GoalStore;
}

export interface ConfigTransaction extends ConfigTables {
  /** Lets other packages write their rows (commands, snapshots) in the same transaction. */
  readonly executor: Executor;
}

/** The `config` schema's keys, connections and goals, by way of TypeORM. Runs and batches are plain SQL beside their use. */
export class ConfigStorage {
  readonly #source: DataSource;
  readonly #tables: ConfigTables;

  private constructor(source: DataSource) {
    this.#source = source;
    this.#tables = tablesOf(source.manager);
  }

  static async open(options: ConfigStorageOptions): Promise<ConfigStorage> {
    const source = new DataSource({
      type: 'postgres',
      url: options.url,
      applicationName: 'millrace-config-api',
      entities: [...configEntities],
      poolSize: options.maxConnections ?? 5,
      ...(options.onIdleError === undefined ? {} : { poolErrorHandler: options.onIdleError }),
      extra: { connectionTimeoutMillis: 10_000, idleTimeoutMillis: 30_000 },
    });
    return new ConfigStorage(await source.initialize());
  }

  /** Single statements, each on its own. */
  async read<T>(work: (tables: ConfigTables) => Promise<T>): Promise<T> {
    try {
      return await work(this.#tables);
    } catch (error) {
      throw translateStorageError(error);
    }
  }

  /** Commits what `work` resolves to. Throws InputError `…-conflict` for a name already taken. */
  async transaction<T>(work: (tx: ConfigTransaction) => Promise<T>): Promise<T> {
    try {
      return await this.#source.transaction((manager) => work({ ...tablesOf(manager), executor: executorOf(manager) }));
    } catch (error) {
      throw translateStorageError(error);
    }
  }

  /** SQL that would turn the database into what the entities describe. Empty: the migrations have built exactly that. */
  async drift(): Promise<readonly string[]> {
    const { upQueries } = await this.#source.driver.createSchemaBuilder().log();
    return upQueries.map(({ query }) => query);
  }

  async close(): Promise<void> {
    await this.#source.destroy();
  }
}

function tablesOf(manager: EntityManager): ConfigTables {
  return {
    alertRules: new AlertRuleStore(manager),
    apiKeys: new ApiKeyStore(manager),
    connections: new ConnectionStore(manager),
    goals: new GoalStore(manager),
  };
}

/** For writing other packages' rows. Unlike `Database` it reads json columns parsed, so nothing reads documents through it. */
function executorOf(manager: EntityManager): Executor {
  return {
    async query<Row>(query: { toQuery(): { text: string; values: unknown[] } }) {
      const { text, values } = query.toQuery();
      const runner = manager.queryRunner;
      if (runner === undefined) throw new TypeError('an executor needs an open transaction');
      const result = await runner.query(text, values, true);
      const rows = (result.records ?? []) as readonly Row[];
      return { rows, rowCount: result.affected ?? rows.length };
    },
  };
}

const takenNames: Readonly<Record<string, readonly [noun: string, field: string]>> = {
  connection_name_unique: ['connection', 'name'],
  goal_name_unique: ['goal', 'name'],
  alert_rule_name_unique: ['alert', 'name'],
};

// Connection failures, shutdowns, deadlocks, lack of resources: https://www.postgresql.org/docs/current/errcodes-appendix.html
const transientStates = /^(08|57P|40|53)/;
const transientCodes = /^(ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN)/;

/** What the database refused, in the terms of domain/errors; anything else comes back unchanged. */
export function translateStorageError(error: unknown): unknown {
  const cause = error instanceof QueryFailedError ? error.driverError : error;
  if (!(cause instanceof Error)) return error;
  const code = 'code' in cause ? String(cause.code) : '';
  const constraint = 'constraint' in cause ? String(cause.constraint) : '';
  const taken = code === '23505' ? takenNames[constraint] : undefined;
  if (taken !== undefined) {
    const [noun, field] = taken;
    return new InputError(`${noun}-conflict`, `another ${noun} already has this name: choose a different one`, {
      at: field,
      cause: error,
    });
  }
  if (transientStates.test(code) || transientCodes.test(code) || /Connection terminated/.test(cause.message)) {
    return new TransientError('database-unavailable', 'PostgreSQL interrupted the work: try again', { cause: error });
  }
  return error;
}

import type { Writable } from 'node:stream';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { InputError, TransientError } from '@millrace/domain';
import type { Sql } from '@millrace/sql';
import { CopyOutQuery, type CopyOut } from './copy-out.js';

export interface DatabaseOptions {
  readonly url: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Upper bound of open connections. */
  readonly maxConnections?: number;
  readonly onIdleError?: (error: Error) => void;
}

export interface Result<Row> {
  readonly rows: readonly Row[];
  readonly rowCount: number;
}

/** Something SQL can be sent to: the pool (one statement, any connection) or one transaction. */
export interface Executor {
  query<Row = Record<string, unknown>>(query: Sql): Promise<Result<Row>>;
}

/** One open transaction on one connection. */
export interface Transaction extends Executor {
  /** COPY ... FROM STDIN as a stream to write to; ends when the server took everything. The statement takes no parameters. */
  copyIn(statement: Sql): Writable;
  /**
   * COPY ... TO STDOUT as a stream of rows, many at a time. The statement takes no parameters.
   * One that is not read to its end costs the transaction its connection: that is what stops the server.
   */
  copyOut(statement: Sql): CopyOut;
}

// Numbers that may not fit a double (int8, numeric) and JSON, whose numbers must stay exact, come as text.
const typesAsText = new Set<number>([
  pg.types.builtins.INT8,
  pg.types.builtins.NUMERIC,
  pg.types.builtins.JSON,
  pg.types.builtins.JSONB,
]);
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    typesAsText.has(oid)
      ? (text: string) => text
      : pg.types.getTypeParser(oid, format as 'text')) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * A pool of connections. int8, numeric, json and jsonb are read as text.
 * Errors of a lost or refused connection become `TransientError`; the rest stay as `pg.DatabaseError`.
 */
export class Database implements Executor {
  readonly #pool: pg.Pool;

  constructor(options: DatabaseOptions) {
    this.#pool = new pg.Pool({
      connectionString: options.url,
      application_name: options.applicationName,
      max: options.maxConnections ?? 10,
      connectionTimeoutMillis: 10_000,
      idleTimeoutMillis: 30_000,
      // Temporary tables kept by a connection hold back the age of the database's oldest transaction.
      maxLifetimeSeconds: 3600,
      types,
    });
    this.#pool.on('error', (error) => options.onIdleError?.(error));
  }

  async query<Row = Record<string, unknown>>(query: Sql): Promise<Result<Row>> {
    try {
      return await run<Row>(this.#pool, query);
    } catch (error) {
      throw translate(error);
    }
  }

  /** Commits what `work` resolves to; rolls back and rethrows what it throws. READ COMMITTED. */
  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw translate(error);
    }
    // A connection that dies while checked out emits 'error'; the statement under way rejects as well.
    const ignore = (): void => undefined;
    client.on('error', ignore);
    let broken: Error | undefined;
    const copiesOut: CopyOut[] = [];
    // Its connection stands in the middle of a message: any further statement would wait for ever.
    const unfinishedCopy = (): Error | undefined =>
      copiesOut.every((copy) => copy.readableEnded) ? undefined : new Error('a COPY was not read to its end');
    try {
      await client.query('BEGIN');
      const result = await work({
        query: (query) => run(client, query),
        copyIn: (statement) => client.query(copyFrom(statementText(statement), { highWaterMark: 256 * 1024 })),
        copyOut: (statement) => {
          const copy = client.query(new CopyOutQuery(statementText(statement)));
          copiesOut.push(copy);
          return copy;
        },
      });
      const unfinished = unfinishedCopy();
      if (unfinished !== undefined) throw unfinished;
      await client.query('COMMIT');
      return result;
    } catch (error) {
      broken = unfinishedCopy();
      if (broken === undefined) {
        await client.query('ROLLBACK').catch((rollbackError: unknown) => {
          broken = rollbackError instanceof Error ? rollbackError : new Error('ROLLBACK failed');
        });
      }
      throw translate(error);
    } finally {
      client.off('error', ignore);
      client.release(broken);
    }
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }
}

function statementText(statement: Sql): string {
  const { text, values } = statement.toQuery();
  if (values.length > 0) throw new RangeError('COPY takes no parameters: use sql.literal and sql.integer');
  return text;
}

async function run<Row>(client: pg.Pool | pg.PoolClient, query: Sql): Promise<Result<Row>> {
  const result = await client.query<Row & pg.QueryResultRow>(query.toQuery());
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

// Connection failures, shutdowns, deadlocks and serialization failures: https://www.postgresql.org/docs/current/errcodes-appendix.html
const transientClasses = ['08', '57P', '40', '53'];

/** A row was refused because its key is taken (SQLSTATE 23505); the transaction needs its savepoint. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}

// untranslatable_character (\u0000 in JSON), character_not_in_repertoire (NUL in a text); JSON's surrogates have no code of their own.
function isUnstorableText({ code, detail }: pg.DatabaseError): boolean {
  return code === '22P05' || code === '22021' || (code === '22P02' && /surrogate/.test(detail ?? ''));
}

function translate(error: unknown): unknown {
  if (error instanceof InputError || error instanceof TransientError) return error;
  if (error instanceof pg.DatabaseError) {
    const state = error.code ?? '';
    if (isUnstorableText(error)) {
      const message =
        'a text holds a NUL character or half of a surrogate pair, which PostgreSQL cannot store; remove it';
      return new InputError('text-not-storable', message, { cause: error });
    }
    return transientClasses.some((prefix) => state.startsWith(prefix))
      ? new TransientError('database-unavailable', `PostgreSQL interrupted the work (${state})`, { cause: error })
      : error;
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const lost = /^(ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN)/.test(code);
  if (
    lost ||
    (error instanceof Error &&
      /Connection terminated|timeout exceeded when trying to connect|not queryable/.test(error.message))
  ) {
    return new TransientError('database-unavailable', 'PostgreSQL cannot be reached', { cause: error });
  }
  return error;
}

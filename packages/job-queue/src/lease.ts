import { sql, type Database, type Executor, type Transaction } from '@millrace/database';

/** The right to work on one resource, for a while. Every transaction that uses it begins with `beginUnderLease`. */
export interface Lease {
  readonly id: string;
  /** `unit:<id>` or `lane:<n>`. */
  readonly resource: string;
  /** The fencing token, a decimal number: raised by every change of hands. */
  readonly token: string;
  readonly owner: string;
  readonly ttlMs: number;
  /** By `performance.now()` of this process: counted from before the database was asked, so never later than the database's own end. */
  readonly endsAtMs: number;
}

/** The lease has ended or belongs to somebody else now. Leave the work as it is: its new holder goes on with it. */
export class LeaseLostError extends Error {
  readonly code = 'lease-lost';

  constructor(resource: string) {
    super(`the lease of ${resource} is lost`);
    this.name = 'LeaseLostError';
  }
}

/** How long the lease still holds, in milliseconds; 0 or less: not at all. */
export function leaseRemainingMs(lease: Lease): number {
  return lease.endsAtMs - performance.now();
}

export interface TakeOptions {
  /** Resources wanted; each is made known on first use. */
  readonly resources: readonly string[];
  readonly owner: string;
  readonly ttlMs: number;
  /** Take at most this many. Default: all. */
  readonly max?: number;
  /** Wait this long after a lease ended before taking it over; one given back is free at once. Default 0. */
  readonly graceMs?: number;
}

interface LeaseRow {
  readonly id: string;
  readonly resource: string;
  readonly token: string;
}

// application_name holds 63 bytes: 'mr-leases:' and the owner.
const maxOwnerLength = 50;

/** Leases on the database's clock. */
export class Leases {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** The lease of one resource, or undefined while somebody else holds it. */
  async take(resource: string, owner: string, ttlMs: number): Promise<Lease | undefined> {
    return (await this.takeMany({ resources: [resource], owner, ttlMs }))[0];
  }

  /** Takes free and ended leases of the given resources, in one transaction; those others hold are left out. */
  async takeMany(options: TakeOptions): Promise<Lease[]> {
    return await this.#database.transaction((tx) => takeLeases(tx, options));
  }

  /** Prolongs by each lease's own ttl. Returns the ones still held; the others belong to somebody else. */
  async renewMany(leases: readonly Lease[]): Promise<Lease[]> {
    if (leases.length === 0) return [];
    const askedAt = performance.now();
    const { rows } = await this.#database.query<{ id: string }>(sql`
      UPDATE work.lease AS l SET expires_at = clock_timestamp() + held.ttl_ms * interval '1 millisecond'
      FROM unnest(${leases.map((lease) => lease.id)}::bigint[], ${leases.map((lease) => lease.token)}::bigint[],
                  ${leases.map((lease) => lease.ttlMs)}::float8[]) AS held (id, token, ttl_ms)
      WHERE l.id = held.id AND l.token = held.token AND l.expires_at > '-infinity'
      RETURNING l.id`);
    const held = new Set(rows.map((row) => row.id));
    return leases.filter((lease) => held.has(lease.id)).map((lease) => ({ ...lease, endsAtMs: askedAt + lease.ttlMs }));
  }

  async renew(lease: Lease): Promise<Lease | undefined> {
    return (await this.renewMany([lease]))[0];
  }

  /** Gives leases back: others may take them at once. Only when nothing under them is under way any more. */
  async releaseMany(leases: readonly Lease[]): Promise<void> {
    if (leases.length === 0) return;
    await this.#database.query(sql`
      UPDATE work.lease AS l SET expires_at = '-infinity'
      FROM unnest(${leases.map((lease) => lease.id)}::bigint[], ${leases.map((lease) => lease.token)}::bigint[]) AS held (id, token)
      WHERE l.id = held.id AND l.token = held.token`);
  }

  async release(lease: Lease): Promise<void> {
    await this.releaseMany([lease]);
  }
}

/**
 * Takes free and ended leases inside the caller's transaction. The backends that still work under an ended lease are
 * terminated first, so a frozen holder neither blocks nor commits; one that does not go in time is left for the next try.
 */
export async function takeLeases(tx: Transaction, options: TakeOptions): Promise<Lease[]> {
  if (options.resources.length === 0) return [];
  if (Buffer.byteLength(options.owner) > maxOwnerLength)
    throw new RangeError(`owner longer than ${maxOwnerLength} bytes`);
  const resources = [...options.resources];
  const grace = sql`${options.graceMs ?? 0}::float8 * interval '1 millisecond'`;
  await tx.query(sql`
    INSERT INTO work.lease (resource, token, owner, expires_at)
    SELECT wanted.resource, 0, '', '-infinity' FROM unnest(${resources}::text[]) AS wanted (resource)
    WHERE NOT EXISTS (SELECT FROM work.lease l WHERE l.resource = wanted.resource)
    ORDER BY wanted.resource
    ON CONFLICT (resource) DO NOTHING`);
  await tx.query(sql`
    SELECT pg_terminate_backend(a.pid, 1000)
    FROM work.lease ended
    JOIN pg_stat_activity a ON a.application_name IN ('mr-lease:' || ended.id || ':' || ended.token, 'mr-leases:' || ended.owner)
    WHERE ended.resource = ANY(${resources}::text[]) AND ended.expires_at > '-infinity' AND ended.expires_at + ${grace} < clock_timestamp()
      AND a.pid <> pg_backend_pid()`);
  const askedAt = performance.now();
  const { rows } = await tx.query<LeaseRow>(sql`
    WITH free AS MATERIALIZED (
      SELECT id FROM work.lease
      WHERE resource = ANY(${resources}::text[]) AND expires_at + ${grace} < clock_timestamp()
      ORDER BY id LIMIT ${options.max ?? resources.length}
      FOR UPDATE SKIP LOCKED
    )
    UPDATE work.lease AS l
    SET token = l.token + 1, owner = ${options.owner}, expires_at = clock_timestamp() + ${options.ttlMs}::float8 * interval '1 millisecond'
    FROM free WHERE l.id = free.id
    RETURNING l.id, l.resource, l.token`);
  return rows.map((row) => ({ ...row, owner: options.owner, ttlMs: options.ttlMs, endsAtMs: askedAt + options.ttlMs }));
}

/**
 * The first statement of every transaction under a lease. Names the backend so that a takeover can end it, lets PostgreSQL
 * end it when it idles for half the lease, and locks the token until commit. `LeaseLostError` when the lease has ended.
 *
 * Between two statements of such a transaction nothing slow may happen (no network but the database); COPY streams do not count as idle.
 */
export async function beginUnderLease(tx: Transaction, lease: Lease): Promise<void> {
  await begin(tx, `mr-lease:${lease.id}:${lease.token}`, [lease]);
}

/** The same for several leases of one owner. A takeover of any of them ends the transaction. */
export async function beginUnderLeases(tx: Transaction, leases: readonly Lease[]): Promise<void> {
  const owner = leases[0]?.owner;
  if (owner === undefined) return;
  if (leases.some((lease) => lease.owner !== owner)) throw new RangeError('leases of different owners');
  await begin(tx, `mr-leases:${owner}`, leases);
}

async function begin(tx: Transaction, name: string, leases: readonly Lease[]): Promise<void> {
  const idleMs = Math.max(1, Math.floor(Math.min(...leases.map((lease) => lease.ttlMs)) / 2));
  // FOR KEY SHARE: see the unique key over (id, token) in the migration.
  const { rows } = await tx.query<{ id: string }>(sql`
    WITH named AS MATERIALIZED (
      SELECT set_config('application_name', ${name}, true) AS name, set_config('idle_in_transaction_session_timeout', ${String(idleMs)}, true) AS idle
    )
    SELECT l.id FROM named, work.lease l
    JOIN unnest(${leases.map((lease) => lease.id)}::bigint[], ${leases.map((lease) => lease.token)}::bigint[]) AS held (id, token)
      ON l.id = held.id AND l.token = held.token
    WHERE named.name IS NOT NULL AND named.idle IS NOT NULL AND l.expires_at > clock_timestamp()
    ORDER BY l.id
    FOR KEY SHARE OF l`);
  if (rows.length === leases.length) return;
  const held = new Set(rows.map((row) => row.id));
  throw new LeaseLostError(leases.find((lease) => !held.has(lease.id))?.resource ?? name);
}

/** Ends whatever still runs under the lease, before its holder gives it back by force. */
export async function endBackendsOf(executor: Executor, lease: Lease): Promise<void> {
  await executor.query(sql`
    SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
    WHERE application_name = ${`mr-lease:${lease.id}:${lease.token}`} AND pid <> pg_backend_pid()`);
}

import { sql, type Database } from '@millrace/database';
import { leaseRemainingMs, Leases, type Lease } from './lease.js';
import type { Log } from './log.js';
import { repeat, type Repeating } from './repeat.js';

export interface LaneShareOptions {
  readonly database: Database;
  /** Owners of one kind share the resources among them. */
  readonly kind: string;
  /** All of them, the same list in every owner. */
  readonly resources: readonly string[];
  /** Unique per process: see `newOwner`. */
  readonly owner: string;
  readonly leaseTtlMs?: number;
  /** A successor waits this long after a lease ended without being given back, e.g. for the timeout of a request sent under it. */
  readonly graceMs?: number;
  /** How often leases are renewed and shares balanced. Default: a fifth of the ttl, 2 s at most. */
  readonly balanceMs?: number;
  /** Called before resources go to another owner; resolves when nothing is under way for them any more. */
  readonly beforeRelease?: (resources: readonly string[]) => Promise<void>;
  readonly log: Log;
}

/**
 * Holds this process's fair share of a fixed set of resources: of n live owners each holds at most ceil(all / n).
 * A new owner gets what the others release; those of a dead owner are taken over when its leases have ended.
 */
export class LaneShare {
  readonly #options: LaneShareOptions;
  readonly #leases: Leases;
  readonly #ttlMs: number;
  readonly #held = new Map<string, Lease>();
  #releasing = new Set<string>();
  #repeating: Repeating | undefined;

  constructor(options: LaneShareOptions) {
    this.#options = options;
    this.#leases = new Leases(options.database);
    this.#ttlMs = options.leaseTtlMs ?? 30_000;
  }

  /** The leases held now by resource, without those about to be released. Check `leaseRemainingMs` before each use. */
  held(): ReadonlyMap<string, Lease> {
    const usable = [...this.#held].filter(
      ([resource, lease]) => !this.#releasing.has(resource) && leaseRemainingMs(lease) > 0,
    );
    return new Map(usable);
  }

  /** Resolves after the first try to take a share. */
  async start(): Promise<void> {
    const intervalMs = this.#options.balanceMs ?? Math.min(2000, this.#ttlMs / 5);
    this.#repeating = repeat({ name: `balancing ${this.#options.kind}`, intervalMs, log: this.#options.log }, () =>
      this.#balance(),
    );
    await this.#repeating.now();
  }

  /** Gives everything back. Call when nothing is under way under the leases any more. */
  async stop(): Promise<void> {
    await this.#repeating?.stop();
    const held = [...this.#held.values()];
    this.#held.clear();
    await this.#leases.releaseMany(held);
    await this.#options.database.query(sql`DELETE FROM work.owner WHERE owner = ${this.#options.owner}`);
  }

  async #balance(): Promise<void> {
    const asked = [...this.#held.values()];
    const renewed = new Map((await this.#leases.renewMany(asked)).map((lease) => [lease.resource, lease]));
    for (const { resource } of asked) {
      const lease = renewed.get(resource);
      if (lease === undefined) this.#held.delete(resource);
      // A release may have come to its end while the database answered.
      else if (this.#held.has(resource)) this.#held.set(resource, lease);
    }
    const target = Math.ceil(this.#options.resources.length / (await this.#countOwners()));
    if (this.#releasing.size > 0) return;
    if (this.#held.size > target) {
      // Not awaited: what comes to rest slowly is still renewed meanwhile.
      void this.#release([...this.#held.keys()].slice(target));
      return;
    }
    if (this.#held.size === target) return;
    const taken = await this.#leases.takeMany({
      resources: this.#options.resources.filter((resource) => !this.#held.has(resource)),
      owner: this.#options.owner,
      ttlMs: this.#ttlMs,
      max: target - this.#held.size,
      ...(this.#options.graceMs === undefined ? {} : { graceMs: this.#options.graceMs }),
    });
    for (const lease of taken) this.#held.set(lease.resource, lease);
  }

  async #release(resources: readonly string[]): Promise<void> {
    this.#releasing = new Set(resources);
    try {
      await this.#options.beforeRelease?.(resources);
      const leases = resources.flatMap((resource) => this.#held.get(resource) ?? []);
      for (const resource of resources) this.#held.delete(resource);
      await this.#leases.releaseMany(leases);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'releasing lanes failed: tried again');
    } finally {
      this.#releasing = new Set();
    }
  }

  async #countOwners(): Promise<number> {
    const { owner, kind } = this.#options;
    const { rows } = await this.#options.database.query<{ owners: number }>(sql`
      WITH me AS (
        INSERT INTO work.owner (owner, kind, heartbeat_at) VALUES (${owner}, ${kind}, clock_timestamp())
        ON CONFLICT (owner) DO UPDATE SET heartbeat_at = excluded.heartbeat_at
      )
      SELECT count(*)::int + 1 AS owners FROM work.owner
      WHERE kind = ${kind} AND owner <> ${owner} AND heartbeat_at > clock_timestamp() - ${this.#ttlMs}::float8 * interval '1 millisecond'`);
    return rows[0]?.owners ?? 1;
  }
}

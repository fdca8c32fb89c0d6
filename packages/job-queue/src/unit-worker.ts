import type { Database } from '@millrace/database';
import { claimUnit } from './claim-unit.js';
import { cancelledRuns } from './command.js';
import { leaseRemainingMs, Leases } from './lease.js';
import type { Log } from './log.js';
import { repeat, type Repeating } from './repeat.js';
import type { Unit, UnitQueue } from './unit.js';
import { UnitRun, type UnitEnd, type UnitHandler, type UnitOutcome } from './unit-run.js';
import type { WakeUps } from './wake-ups.js';

export interface UnitWorkerOptions {
  /** For claims and heartbeats: a pool of its own (`maxConnections: 2`), so that busy handlers never starve a heartbeat. */
  readonly database: Database;
  readonly wakeUps: WakeUps;
  readonly queues: readonly UnitQueue[];
  readonly handler: UnitHandler;
  /**
   * Removes what an attempt may have left outside the database (an open upload), before the worker closes a unit as failed or
   * cancelled, also one whose process died. What it throws is logged and does not keep the unit open.
   */
  readonly cleanUp?: (unit: Unit, end: UnitEnd) => Promise<void>;
  /**
   * Asked when the run of a unit is cancelled: true when the work is past the point where it can be undone. The handler
   * is then called, or called again after a failure, as if nobody had asked. Default: never.
   */
  readonly refusesCancel?: (unit: Unit) => Promise<boolean>;
  /** Units at once in this process. Default 1. */
  readonly concurrency?: number;
  /** Unique per process: see `newOwner`. */
  readonly owner: string;
  /** How long a unit of a dead worker stays with it. Default 30 s. */
  readonly leaseTtlMs?: number;
  /** How often to look for units that no wake-up told of. Default 2 s. */
  readonly sweepMs?: number;
  /** How often to look for cancel commands. Default 1 s. */
  readonly cancelPollMs?: number;
  /** Attempts of one unit, those of dead processes included, before it fails. Default 8. */
  readonly maxAttempts?: number;
  readonly log: Log;
  /** For metrics. */
  readonly onOutcome?: (unit: Unit, outcome: UnitOutcome, elapsedMs: number) => void;
}

/** Claims units of work and runs them, one lease each. */
export class UnitWorker {
  readonly #options: UnitWorkerOptions;
  readonly #leases: Leases;
  readonly #leaseTtlMs: number;
  readonly #concurrency: number;
  readonly #running = new Set<UnitRun>();
  #loops: readonly Repeating[] = [];
  #unsubscribe: readonly (() => void)[] = [];
  #stopping = false;
  #tellStopping = (): void => undefined;
  readonly #stopped = new Promise<void>((resolve) => (this.#tellStopping = resolve));

  constructor(options: UnitWorkerOptions) {
    this.#options = options;
    this.#leases = new Leases(options.database);
    this.#leaseTtlMs = options.leaseTtlMs ?? 30_000;
    this.#concurrency = options.concurrency ?? 1;
  }

  /** Begins to claim. Returns at once; the database may still be unreachable. */
  start(): void {
    const { cancelPollMs = 1000, log, queues, sweepMs = 2000, wakeUps } = this.#options;
    const sweep = repeat({ name: 'claiming units', intervalMs: sweepMs, log }, () => this.#fill());
    const heartbeat = repeat({ name: 'renewing leases', intervalMs: this.#leaseTtlMs / 5, log }, () => this.#renew());
    const cancels = repeat({ name: 'looking for cancel commands', intervalMs: cancelPollMs, log }, () =>
      this.#cancel(),
    );
    this.#loops = [sweep, heartbeat, cancels];
    this.#unsubscribe = queues.map((queue) => wakeUps.onWakeUp(queue, () => this.#woken(sweep)));
    for (const loop of this.#loops) void loop.now();
  }

  /** How many units run now. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Claims no more, asks the handlers to stop and waits for them; their units go back to ready. A unit whose handler has not ended
   * after `graceMs` is given back by force: its transaction is ended, and what the handler still tries fails with `LeaseLostError`.
   */
  async stop(graceMs = 8000): Promise<void> {
    this.#stopping = true;
    this.#tellStopping();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    const [sweep, ...others] = this.#loops;
    await sweep?.stop();
    const running = [...this.#running];
    for (const run of running) run.stop('stopping');
    await settledWithin(Promise.all(running.map((run) => run.ended)), graceMs);
    await Promise.all([...this.#running].map((run) => run.giveBackByForce()));
    await Promise.all(others.map((loop) => loop.stop()));
  }

  // A process that is full keeps the message until it has room, so that Bull gives the next one to another process.
  async #woken(sweep: Repeating): Promise<void> {
    while (this.#running.size >= this.#concurrency && !this.#stopping) {
      await Promise.race([this.#stopped, ...[...this.#running].map((run) => run.ended)]);
    }
    await sweep.now();
  }

  async #fill(): Promise<void> {
    const { database, owner, queues } = this.#options;
    while (this.#running.size < this.#concurrency && !this.#stopping) {
      const claimed = await claimUnit(database, { queues, owner, leaseTtlMs: this.#leaseTtlMs });
      if (claimed === undefined) return;
      const startedAt = performance.now();
      const run = new UnitRun(claimed, { ...this.#options, maxAttempts: this.#options.maxAttempts ?? 8 });
      this.#running.add(run);
      void run.ended.then((outcome) => this.#afterRun(run, outcome, performance.now() - startedAt));
    }
  }

  #afterRun(run: UnitRun, outcome: UnitOutcome, elapsedMs: number): void {
    this.#running.delete(run);
    void this.#loops[0]?.now();
    this.#options.onOutcome?.(run.unit, outcome, elapsedMs);
  }

  async #renew(): Promise<void> {
    const asked = [...this.#running];
    try {
      const held = await this.#leases.renewMany(asked.map((run) => run.lease));
      const byId = new Map(held.map((lease) => [lease.id, lease]));
      for (const run of asked) {
        const lease = byId.get(run.lease.id);
        if (lease === undefined) run.stop('lease-lost');
        else run.renewed(lease);
      }
    } finally {
      for (const run of asked) if (leaseRemainingMs(run.lease) <= 0) run.stop('lease-lost');
    }
  }

  async #cancel(): Promise<void> {
    const running = [...this.#running];
    const cancelled = await cancelledRuns(this.#options.database, [...new Set(running.map((run) => run.unit.runId))]);
    for (const run of running) if (cancelled.has(run.unit.runId)) run.stop('cancelled');
  }
}

async function settledWithin(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)));
  await Promise.race([work, limit]);
  clearTimeout(timer);
}

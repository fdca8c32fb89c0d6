import type { Database } from '@millrace/database';
import { InputError, TransientError } from '@millrace/domain';
import { claimUnit, type ClaimedUnit } from './claim-unit.js';
import { cancelledRuns } from './command.js';
import { endBackendsOf, LeaseLostError, leaseRemainingMs, Leases, type Lease } from './lease.js';
import type { Log } from './log.js';
import { repeat, type Repeating } from './repeat.js';
import { retryDelayMs } from './retry-delay.js';
import { cancelUnit, failUnit, handBackUnit, isOpen, retryUnit, type Counts, type Unit, type UnitQueue } from './unit.js';
import type { WakeUps } from './wake-ups.js';

export type StopReason = 'cancelled' | 'lease-lost' | 'stopping';

export interface UnitContext {
  /** For `beginUnderLease` and `finishUnit`. */
  readonly lease: Lease;
  /** Aborted when the work should end early; `stopReason` says why. Throw anything (`signal.throwIfAborted()`) once all is at rest. */
  readonly signal: AbortSignal;
  stopReason(): StopReason | undefined;
  /** This failure would be final: no attempt follows. */
  readonly lastAttempt: boolean;
  /** Remembers totals for the `goal-finished` event that the worker writes when the handler throws. */
  noteCounts(counts: Counts): void;
}

/** How a unit is about to be closed. */
export interface UnitEnd {
  readonly lease: Lease;
  readonly outcome: 'failed' | 'cancelled';
  /** Why it failed; undefined when it was cancelled. */
  readonly error: unknown;
}

/** Does the unit and ends it itself (`finishUnit` or `handBackUnit`, in its own transaction). */
export type UnitHandler = (unit: Unit, context: UnitContext) => Promise<void>;

export type UnitOutcome = 'done' | 'failed' | 'cancelled' | 'retried' | 'handed-back' | 'lease-lost';

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
  readonly cleanUp?: (unit: Unit, context: UnitEnd) => Promise<void>;
  /**
   * Asked when the run of a unit is cancelled: true when the work is past the point where it can be undone. The handler
   * is then called, or called again after a failure, as if nobody had asked. Default: never.
   */
  readonly refusesCancel?: (unit: Unit) => Promise<boolean>;
  /** Units at once in this process. Default 1. */
  readonly concurrency?: number;
  /** Unique per process: see `newOwner`. */
  readonly owner: string;
  readonly leaseTtlMs?: number;
  /** How often to look for units that no wake-up told of. */
  readonly sweepMs?: number;
  /** How often to look for cancel commands. */
  readonly cancelPollMs?: number;
  /** Attempts of one unit, dead processes included, before it fails. Default 8. */
  readonly maxAttempts?: number;
  readonly log: Log;
  /** For metrics. */
  readonly onOutcome?: (unit: Unit, outcome: UnitOutcome, elapsedMs: number) => void;
}

interface RunningUnit {
  readonly unit: Unit;
  lease: Lease;
  readonly abort: AbortController;
  stopReason: StopReason | undefined;
  readonly ended: Promise<void>;
}

/** Claims units of work and runs them, one lease each. */
export class UnitWorker {
  readonly #options: UnitWorkerOptions;
  readonly #leases: Leases;
  readonly #ttlMs: number;
  readonly #concurrency: number;
  readonly #maxAttempts: number;
  readonly #running = new Map<string, RunningUnit>();
  #loops: Repeating[] = [];
  #unsubscribe: (() => void)[] = [];
  #stopping = false;

  constructor(options: UnitWorkerOptions) {
    this.#options = options;
    this.#leases = new Leases(options.database);
    this.#ttlMs = options.leaseTtlMs ?? 30_000;
    this.#concurrency = options.concurrency ?? 1;
    this.#maxAttempts = options.maxAttempts ?? 8;
  }

  /** Begins to claim. Returns at once; the database may still be unreachable. */
  start(): void {
    const { log, queues, wakeUps } = this.#options;
    const sweep = repeat({ name: 'claiming units', intervalMs: this.#options.sweepMs ?? 2000, log }, () => this.#fill());
    const heartbeat = repeat({ name: 'renewing leases', intervalMs: this.#ttlMs / 5, log }, () => this.#renew());
    const cancels = repeat({ name: 'looking for cancel commands', intervalMs: this.#options.cancelPollMs ?? 1000, log }, () => this.#cancel());
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
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    const [sweep, ...others] = this.#loops;
    await sweep?.stop();
    const running = [...this.#running.values()];
    for (const each of running) this.#abort(each, 'stopping');
    await settledWithin(Promise.all(running.map((each) => each.ended)), graceMs);
    await Promise.all([...this.#running.values()].map((each) => this.#giveBackByForce(each)));
    await Promise.all(others.map((loop) => loop.stop()));
  }

  // A process that is full keeps the message until it has room, so that Bull gives the next one to another process.
  async #woken(sweep: Repeating): Promise<void> {
    while (this.#running.size >= this.#concurrency && !this.#stopping) {
      await Promise.race([...this.#running.values()].map((each) => each.ended));
    }
    await sweep.now();
  }

  async #fill(): Promise<void> {
    while (this.#running.size < this.#concurrency && !this.#stopping) {
      const claimed = await claimUnit(this.#options.database, {
        queues: this.#options.queues,
        owner: this.#options.owner,
        leaseTtlMs: this.#ttlMs,
      });
      if (claimed === undefined) return;
      this.#begin(claimed);
    }
  }

  #begin(claimed: ClaimedUnit): void {
    const { unit, lease } = claimed;
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const running: RunningUnit = { unit, lease, abort: new AbortController(), stopReason: undefined, ended };
    this.#running.set(unit.id, running);
    const startedAt = performance.now();
    void this.#run(claimed, running)
      .catch((error: unknown): UnitOutcome => {
        this.#options.log.error({ err: error, ...fieldsOf(unit) }, 'closing a unit failed: it is begun again when its lease ends');
        return 'lease-lost';
      })
      .then((outcome) => this.#options.onOutcome?.(unit, outcome, performance.now() - startedAt))
      .finally(() => {
        this.#running.delete(unit.id);
        end();
        void this.#loops[0]?.now();
      });
  }

  async #run(claimed: ClaimedUnit, running: RunningUnit): Promise<UnitOutcome> {
    const { unit } = claimed;
    const { database, log } = this.#options;
    let counts: Counts = {};
    const close = async (outcome: UnitOutcome, work: () => Promise<void>): Promise<UnitOutcome> => {
      try {
        await work();
        return outcome;
      } catch (error) {
        if (!(error instanceof LeaseLostError)) throw error;
        log.warn(fieldsOf(unit), 'the unit belongs to another worker now');
        return 'lease-lost';
      }
    };
    const closeAs = async (outcome: 'failed' | 'cancelled', error?: unknown): Promise<UnitOutcome> => {
      await this.#cleanUp(running, outcome, error);
      return await close(outcome, () =>
        database.transaction(async (tx) =>
          outcome === 'failed' ? failUnit(tx, running.lease, unit, error, counts) : cancelUnit(tx, running.lease, unit, counts),
        ),
      ).finally(() => void this.#options.wakeUps.wake('run-event', { version: 1 }));
    };

    const refusesCancel = async (): Promise<boolean> => (await this.#options.refusesCancel?.(unit)) ?? false;

    if (claimed.cancelled && !(await refusesCancel())) return await closeAs('cancelled');
    if (unit.attempts > this.#maxAttempts) {
      return await closeAs('failed', new TransientError('attempts-exhausted', `the work was begun ${this.#maxAttempts} times and never ended`));
    }
    let failure: unknown;
    try {
      await this.#options.handler(unit, {
        lease: claimed.lease,
        signal: running.abort.signal,
        stopReason: () => running.stopReason,
        lastAttempt: unit.attempts >= this.#maxAttempts,
        noteCounts: (totals) => (counts = totals),
      });
      if (!(await isOpen(database, claimed.lease, unit))) return 'done';
      failure = new Error('the handler returned without ending its unit');
    } catch (error) {
      failure = error;
    }

    switch (running.stopReason) {
      case 'lease-lost':
        log.warn(fieldsOf(unit), 'the lease ended during the work: another worker goes on with it');
        return 'lease-lost';
      case 'cancelled':
        if (!(await refusesCancel())) return await closeAs('cancelled');
        break;
      case 'stopping':
        return await close('handed-back', () => database.transaction((tx) => handBackUnit(tx, running.lease, unit)));
      case undefined:
        break;
    }
    if (failure instanceof LeaseLostError) return 'lease-lost';
    const isInput = failure instanceof InputError;
    if (!isInput && !(failure instanceof TransientError)) log.error({ err: failure, ...fieldsOf(unit) }, 'unexpected error in a unit of work');
    if (isInput || unit.attempts >= this.#maxAttempts) return await closeAs('failed', failure);
    const delayMs = retryDelayMs(unit.attempts);
    log.warn({ err: failure, delayMs, ...fieldsOf(unit) }, 'a unit of work failed and will be tried again');
    return await close('retried', () =>
      database.transaction((tx) => retryUnit(tx, running.lease, unit, { delayMs, error: failure })),
    );
  }

  async #cleanUp(running: RunningUnit, outcome: UnitEnd['outcome'], error: unknown): Promise<void> {
    try {
      await this.#options.cleanUp?.(running.unit, { lease: running.lease, outcome, error });
    } catch (failure) {
      this.#options.log.error({ err: failure, ...fieldsOf(running.unit) }, 'cleaning up after a unit failed');
    }
  }

  async #renew(): Promise<void> {
    const asked = [...this.#running.values()];
    if (asked.length === 0) return;
    try {
      const held = new Map((await this.#leases.renewMany(asked.map((each) => each.lease))).map((lease) => [lease.id, lease]));
      for (const each of asked) {
        const lease = held.get(each.lease.id);
        if (lease !== undefined) each.lease = lease;
        // One whose handler has just ended gave its lease up itself.
        else if (this.#running.get(each.unit.id) === each) this.#abort(each, 'lease-lost');
      }
    } finally {
      for (const each of asked) if (leaseRemainingMs(each.lease) <= 0) this.#abort(each, 'lease-lost');
    }
  }

  async #cancel(): Promise<void> {
    const running = [...this.#running.values()];
    const cancelled = await cancelledRuns(this.#options.database, [...new Set(running.map((each) => each.unit.runId))]);
    for (const each of running) if (cancelled.has(each.unit.runId)) this.#abort(each, 'cancelled');
  }

  #abort(running: RunningUnit, reason: StopReason): void {
    // A lost lease outranks the rest: nothing may be written any more.
    if (running.stopReason === undefined || reason === 'lease-lost') running.stopReason = reason;
    running.abort.abort(new Error(`the work was stopped: ${reason}`));
  }

  async #giveBackByForce(running: RunningUnit): Promise<void> {
    const { database, log } = this.#options;
    log.warn(fieldsOf(running.unit), 'a unit did not stop in time and is given back');
    try {
      await endBackendsOf(database, running.lease);
      await database.transaction((tx) => handBackUnit(tx, running.lease, running.unit));
    } catch (error) {
      log.warn({ err: error, ...fieldsOf(running.unit) }, 'a unit could not be given back: it is taken over when its lease ends');
    }
  }
}

function fieldsOf(unit: Unit): object {
  return { unitId: unit.id, queue: unit.queue, runId: unit.runId, goalId: unit.goalId, attempts: unit.attempts };
}

async function settledWithin(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)));
  await Promise.race([work, limit]);
  clearTimeout(timer);
}

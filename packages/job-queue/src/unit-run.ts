import type { Database } from '@millrace/database';
import { InputError, TransientError } from '@millrace/domain';
import type { ClaimedUnit } from './claim-unit.js';
import { endBackendsOf, LeaseLostError, type Lease } from './lease.js';
import type { Log } from './log.js';
import { retryDelayMs } from './retry-delay.js';
import { cancelUnit, failUnit, handBackUnit, isOpen, retryUnit, type Counts, type Unit } from './unit.js';
import type { WakeUps } from './wake-ups.js';

export type StopReason = 'cancelled' | 'lease-lost' | 'stopping';

export interface UnitContext {
  /** For `beginUnderLease` and `finishUnit`; read it anew for `leaseRemainingMs`, heartbeats replace it. */
  readonly lease: Lease;
  /** Aborted when the work should end early; `stopReason` says why. Throw anything (`signal.throwIfAborted()`) once all is at rest. */
  readonly signal: AbortSignal;
  stopReason(): StopReason | undefined;
  /** This failure would be final: no attempt follows. */
  readonly lastAttempt: boolean;
  /** Remembers totals for the `goal-finished` event that the worker writes when the handler throws. */
  noteCounts(counts: Counts): void;
}

/** How a unit is about to be closed by its worker. */
export interface UnitEnd {
  readonly lease: Lease;
  readonly outcome: 'failed' | 'cancelled';
  /** Why it failed; undefined when it was cancelled. */
  readonly error: unknown;
}

/** Does the unit and ends it itself (`finishUnit` or `handBackUnit`, in its own transaction). */
export type UnitHandler = (unit: Unit, context: UnitContext) => Promise<void>;

export type UnitOutcome = 'done' | 'failed' | 'cancelled' | 'retried' | 'handed-back' | 'lease-lost';

export interface UnitRunOptions {
  readonly database: Database;
  readonly wakeUps: WakeUps;
  readonly handler: UnitHandler;
  readonly cleanUp?: ((unit: Unit, end: UnitEnd) => Promise<void>) | undefined;
  readonly refusesCancel?: ((unit: Unit) => Promise<boolean>) | undefined;
  readonly maxAttempts: number;
  readonly log: Log;
}

/** One attempt at one unit: runs the handler and writes down what came of it. */
export class UnitRun {
  readonly unit: Unit;
  /** Never rejects. */
  readonly ended: Promise<UnitOutcome>;
  readonly #options: UnitRunOptions;
  readonly #abort = new AbortController();
  #lease: Lease;
  #stopReason: StopReason | undefined;
  #counts: Counts = {};

  constructor(claimed: ClaimedUnit, options: UnitRunOptions) {
    this.unit = claimed.unit;
    this.#lease = claimed.lease;
    this.#options = options;
    this.ended = this.#run(claimed.cancelled).catch((error: unknown): UnitOutcome => {
      options.log.error(
        { err: error, ...this.#fields() },
        'closing a unit failed: it is begun again when its lease ends',
      );
      return 'lease-lost';
    });
  }

  get lease(): Lease {
    return this.#lease;
  }

  /** The same lease after a heartbeat. */
  renewed(lease: Lease): void {
    this.#lease = lease;
  }

  stop(reason: StopReason): void {
    // A lost lease outranks the rest: nothing may be written any more.
    if (this.#stopReason === undefined || reason === 'lease-lost') this.#stopReason = reason;
    this.#abort.abort(new Error(`the work was stopped: ${reason}`));
  }

  /** For a handler that does not end: ends its transaction and gives the unit back, so that what it still tries fails. */
  async giveBackByForce(): Promise<void> {
    const { database, log } = this.#options;
    log.warn(this.#fields(), 'a unit did not stop in time and is given back');
    try {
      await endBackendsOf(database, this.lease);
      await database.transaction((tx) => handBackUnit(tx, this.lease, this.unit));
    } catch (error) {
      if (error instanceof LeaseLostError) return;
      log.warn(
        { err: error, ...this.#fields() },
        'a unit could not be given back: it is taken over when its lease ends',
      );
    }
  }

  async #run(cancelled: boolean): Promise<UnitOutcome> {
    const { unit } = this;
    const { maxAttempts } = this.#options;
    if (cancelled && !(await this.#refusesCancel())) return await this.#closeAsCancelled();
    if (unit.attempts > maxAttempts) {
      const message = `the work was begun ${maxAttempts} times and never ended`;
      return await this.#closeAsFailed(new TransientError('attempts-exhausted', message));
    }
    const failure = await this.#handle();
    return failure === undefined ? 'done' : await this.#afterFailure(failure.error);
  }

  /** What the handler threw, or undefined when it ended the unit. */
  async #handle(): Promise<{ readonly error: unknown } | undefined> {
    const { unit } = this;
    const { database, handler, maxAttempts } = this.#options;
    const lease = (): Lease => this.#lease;
    try {
      await handler(unit, {
        get lease() {
          return lease();
        },
        signal: this.#abort.signal,
        stopReason: () => this.#stopReason,
        lastAttempt: unit.attempts >= maxAttempts,
        noteCounts: (counts) => (this.#counts = counts),
      });
      if (!(await isOpen(database, this.lease, unit))) return undefined;
      return { error: new Error('the handler returned without ending its unit') };
    } catch (error) {
      return { error };
    }
  }

  async #afterFailure(error: unknown): Promise<UnitOutcome> {
    const { log, maxAttempts } = this.#options;
    switch (this.#stopReason) {
      case 'lease-lost':
        log.warn(this.#fields(), 'the lease ended during the work: another worker goes on with it');
        return 'lease-lost';
      case 'cancelled':
        if (!(await this.#refusesCancel())) return await this.#closeAsCancelled();
        break;
      case 'stopping':
        return await this.#close('handed-back', () => handBackUnit(this.#options.database, this.lease, this.unit));
      case undefined:
        break;
    }
    if (error instanceof LeaseLostError) return 'lease-lost';
    if (error instanceof InputError) return await this.#closeAsFailed(error);
    if (!(error instanceof TransientError))
      log.error({ err: error, ...this.#fields() }, 'unexpected error in a unit of work');
    if (this.unit.attempts >= maxAttempts) return await this.#closeAsFailed(error);
    const delayMs = retryDelayMs(this.unit.attempts);
    log.warn({ err: error, delayMs, ...this.#fields() }, 'a unit of work failed and will be tried again');
    return await this.#close('retried', () =>
      retryUnit(this.#options.database, this.lease, this.unit, { delayMs, error }),
    );
  }

  async #closeAsFailed(error: unknown): Promise<UnitOutcome> {
    await this.#cleanUp('failed', error);
    const { database } = this.#options;
    const outcome = await this.#close('failed', () =>
      database.transaction((tx) => failUnit(tx, this.lease, this.unit, error, this.#counts)),
    );
    await this.#options.wakeUps.wake('run-event', { version: 1 });
    return outcome;
  }

  async #closeAsCancelled(): Promise<UnitOutcome> {
    await this.#cleanUp('cancelled', undefined);
    const { database } = this.#options;
    const outcome = await this.#close('cancelled', () =>
      database.transaction((tx) => cancelUnit(tx, this.lease, this.unit, this.#counts)),
    );
    await this.#options.wakeUps.wake('run-event', { version: 1 });
    return outcome;
  }

  async #close(outcome: UnitOutcome, write: () => Promise<void>): Promise<UnitOutcome> {
    try {
      await write();
      return outcome;
    } catch (error) {
      if (!(error instanceof LeaseLostError)) throw error;
      this.#options.log.warn(this.#fields(), 'the unit belongs to another worker now');
      return 'lease-lost';
    }
  }

  async #cleanUp(outcome: UnitEnd['outcome'], error: unknown): Promise<void> {
    try {
      await this.#options.cleanUp?.(this.unit, { lease: this.lease, outcome, error });
    } catch (failure) {
      this.#options.log.error({ err: failure, ...this.#fields() }, 'cleaning up after a unit failed');
    }
  }

  async #refusesCancel(): Promise<boolean> {
    return (await this.#options.refusesCancel?.(this.unit)) ?? false;
  }

  #fields(): object {
    const { id, queue, runId, goalId, attempts } = this.unit;
    return { unitId: id, queue, runId, goalId, attempts };
  }
}

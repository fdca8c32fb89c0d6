import type { InputError } from '@millrace/domain';
import type { Logger, Metrics } from '@millrace/service-kit';
import type { BackfillSlice } from '../storage/backfills.js';
import type { GoalBacklog } from '../storage/backlog.js';
import type { FailedDelivery } from '../storage/deliveries.js';
import { noCounts, type GoalCounts } from '../storage/goal-totals.js';
import type { SendOutcome } from './send-records.js';

// One line per this many milliseconds and cause is enough while something stays broken.
const repeatedMs = 30_000;

/** Everything the publisher tells its operator: each event logs and counts in one call. No profile's data, no keys. */
export class PublisherEvents {
  readonly #log: Logger;
  readonly #lastLogged = new Map<string, number>();
  readonly #outboxRows;
  readonly #records;
  readonly #bytes;
  readonly #requestFailures;
  readonly #retries;
  readonly #throttled;
  readonly #deadLetters;
  readonly #latency;
  readonly #turnFailures;
  readonly #backlog;
  readonly #lag;
  readonly #outboxAge;
  readonly #withheld;
  readonly #withdrawn;
  readonly #erased;
  readonly #late;
  #counts = new Map<string, GoalCounts>();

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#outboxRows = metrics.counter({ name: 'millrace_stream_outbox_rows_total', help: 'Outbox rows taken' });
    this.#records = metrics.counter({
      name: 'millrace_stream_records_total',
      help: 'Records acknowledged by the stream',
      labels: ['goal'],
    });
    this.#bytes = metrics.counter({
      name: 'millrace_stream_record_bytes_total',
      help: 'Bytes of acknowledged records, partition keys included',
      labels: ['goal'],
    });
    this.#requestFailures = metrics.counter({
      name: 'millrace_stream_request_failures_total',
      help: 'Requests that failed as a whole; their records are sent again',
      labels: ['goal'],
    });
    this.#retries = metrics.counter({
      name: 'millrace_stream_retries_total',
      help: 'Records refused and to be sent again',
      labels: ['goal'],
    });
    this.#throttled = metrics.counter({
      name: 'millrace_stream_throttled_total',
      help: 'Records the stream had no room for',
      labels: ['goal'],
    });
    this.#deadLetters = metrics.counter({
      name: 'millrace_stream_dead_letters_total',
      help: 'Records given up and kept as failed',
      labels: ['goal'],
    });
    this.#latency = metrics.histogram({
      name: 'millrace_stream_latency_seconds',
      help: 'From the oldest change in a record to its acknowledgement',
      labels: ['goal'],
      buckets: [0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 15, 60, 600],
    });
    this.#turnFailures = metrics.counter({
      name: 'millrace_stream_turn_failures_total',
      help: 'Rounds of work broken off and begun again',
    });
    this.#backlog = metrics.gauge({
      name: 'millrace_stream_backlog',
      help: 'Deliveries by state',
      labels: ['goal', 'state'],
    });
    this.#lag = metrics.gauge({
      name: 'millrace_stream_lag_seconds',
      help: 'Age of the oldest change not yet on the stream',
      labels: ['goal'],
    });
    this.#outboxAge = metrics.gauge({
      name: 'millrace_stream_outbox_age_seconds',
      help: 'Age of the oldest change in the outbox: on its way, or not taken up',
    });
    this.#withheld = metrics.counter({
      name: 'millrace_stream_withheld_total',
      help: 'Changes not sent for want of consent',
      labels: ['goal'],
    });
    this.#withdrawn = metrics.counter({
      name: 'millrace_stream_withdrawn_total',
      help: 'Records that took a profile back after consent was withdrawn',
      labels: ['goal'],
    });
    this.#erased = metrics.counter({
      name: 'millrace_stream_erased_total',
      help: 'Records that told of an erasure',
      labels: ['goal'],
    });
    this.#late = metrics.gauge({
      name: 'millrace_stream_late',
      help: '1: the oldest unsent change is older than the goal allows',
      labels: ['goal'],
    });
  }

  outboxTaken(rows: number): void {
    this.#outboxRows.inc(rows);
  }

  /** `elapsedMs`: since the profiles were read. */
  sent(goalId: string, outcome: SendOutcome, elapsedMs: number): void {
    const labels = { goal: goalId };
    if (outcome.acknowledged.length > 0) {
      this.#records.inc(labels, outcome.acknowledged.length);
      let [bytes, withdrawn, erased] = [0, 0, 0];
      for (const record of outcome.acknowledged) {
        bytes += record.bytes;
        if (record.kind === 'withdraw') withdrawn += 1;
        if (record.kind === 'erase') erased += 1;
        this.#latency.observe(labels, (record.delivery.waitedMs + elapsedMs) / 1000);
      }
      this.#bytes.inc(labels, bytes);
      if (withdrawn > 0) this.#withdrawn.inc(labels, withdrawn);
      if (erased > 0) this.#erased.inc(labels, erased);
      this.#count(goalId, { records: outcome.acknowledged.length, bytes, withdrawn, erased });
    }
    if (outcome.throttled > 0) {
      this.#throttled.inc(labels, outcome.throttled);
      this.#count(goalId, { throttled: outcome.throttled });
    }
    this.#refused(goalId, outcome.failures);
  }

  /** So many changes were not sent for want of consent. */
  withheld(goalId: string, changes: number): void {
    if (changes === 0) return;
    this.#withheld.inc({ goal: goalId }, changes);
    this.#count(goalId, { withheld: changes });
  }

  unsendable(goalId: string, failures: readonly FailedDelivery[]): void {
    this.#refused(goalId, failures);
  }

  #refused(goalId: string, failures: readonly FailedDelivery[]): void {
    if (failures.length === 0) return;
    const dead = failures.filter((failure) => failure.retryInMs === undefined);
    this.#retries.inc({ goal: goalId }, failures.length - dead.length);
    this.#count(goalId, { retries: failures.length - dead.length, deadLetters: dead.length });
    if (dead.length === 0) return;
    this.#deadLetters.inc({ goal: goalId }, dead.length);
    const codes = [...new Set(dead.map((failure) => failure.code))];
    this.#log.error(
      { goalId, records: dead.length, codes },
      'records were given up: they are kept as failed, with the reason',
    );
  }

  requestFailed(goalId: string, error: unknown, inARow: number): void {
    this.#requestFailures.inc({ goal: goalId });
    this.#logRepeated(`request ${goalId}`, () =>
      this.#log.warn({ goalId, err: error, inARow }, 'a request to the stream failed: its records are sent again'),
    );
  }

  turnFailed(error: unknown): void {
    this.#turnFailures.inc();
    this.#logRepeated('turn', () => this.#log.warn({ err: error }, 'publishing was interrupted and goes on shortly'));
  }

  goalUnusable(goalId: string, error: InputError): void {
    this.#log.error(
      { goalId, err: error },
      'a stream goal cannot send as it is configured: correct it and activate it again',
    );
  }

  activated(goalId: string, backfills: number): void {
    this.#log.info({ goalId, backfills }, 'a stream goal is active');
  }

  activationRefused(goalId: string, error: InputError): void {
    this.#log.error({ goalId, err: error }, 'a stream goal was not activated');
  }

  deactivated(goalId: string): void {
    this.#log.info({ goalId }, 'a stream goal is inactive');
  }

  removed(goalId: string): void {
    this.#log.info({ goalId }, 'a stream goal was deleted, and what it still owed with it');
  }

  paused(goalId: string): void {
    this.#log.info({ goalId }, 'a stream goal is paused: its changes are collected');
  }

  resumed(goalId: string): void {
    this.#log.info({ goalId }, 'a stream goal goes on');
  }

  backfillCancelled(goalId: string, backfills: number): void {
    this.#log.info({ goalId, backfills }, 'backfills were cancelled');
  }

  replayed(goalId: string, deadLetters: number): void {
    this.#log.info({ goalId, deadLetters }, 'dead letters are sent again');
  }

  deadLettersRemoved(deadLetters: number): void {
    this.#log.warn({ deadLetters }, 'dead letters were removed: nobody sent them again in time');
  }

  backfillSlice(slice: BackfillSlice): void {
    if (!slice.finished) return;
    this.#log.info(
      { goalId: slice.goalId, segmentId: slice.segmentId, members: slice.total },
      'the members of a segment are queued for the stream',
    );
  }

  backlog(goals: readonly GoalBacklog[], outboxAgeSeconds: number): void {
    this.#backlog.reset();
    this.#lag.reset();
    this.#late.reset();
    for (const { goalId, pending, backfill, failed, oldestSeconds, late } of goals) {
      this.#backlog.set({ goal: goalId, state: 'pending' }, pending);
      this.#backlog.set({ goal: goalId, state: 'backfill' }, backfill);
      this.#backlog.set({ goal: goalId, state: 'failed' }, failed);
      this.#lag.set({ goal: goalId }, oldestSeconds);
      this.#late.set({ goal: goalId }, late ? 1 : 0);
    }
    this.#outboxAge.set(outboxAgeSeconds);
  }

  /** What was counted since the last call. */
  takeCounts(): ReadonlyMap<string, Readonly<GoalCounts>> {
    const counts = this.#counts;
    this.#counts = new Map();
    return counts;
  }

  /** Counts that could not be written down: for the next call. */
  giveBackCounts(counts: ReadonlyMap<string, Readonly<GoalCounts>>): void {
    for (const [goalId, count] of counts) this.#count(goalId, count);
  }

  #count(goalId: string, counted: Partial<GoalCounts>): void {
    let counts = this.#counts.get(goalId);
    if (counts === undefined) this.#counts.set(goalId, (counts = { ...noCounts }));
    for (const name of Object.keys(counted) as (keyof GoalCounts)[]) counts[name] += counted[name] ?? 0;
  }

  #logRepeated(cause: string, log: () => void): void {
    const now = performance.now();
    if (now - (this.#lastLogged.get(cause) ?? -Infinity) < repeatedMs) return;
    this.#lastLogged.set(cause, now);
    log();
  }
}

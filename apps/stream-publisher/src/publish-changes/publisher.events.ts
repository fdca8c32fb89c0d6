import type { InputError } from '@millrace/domain';
import type { Logger, Metrics } from '@millrace/service-kit';
import type { BackfillSlice } from '../storage/backfills.js';
import type { GoalBacklog } from '../storage/backlog.js';
import type { FailedDelivery } from '../storage/deliveries.js';
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
      help: 'Bytes of acknowledged records',
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
      help: 'Age of the oldest change no publisher has taken up',
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
      let bytes = 0;
      for (const record of outcome.acknowledged) {
        bytes += record.data.length;
        this.#latency.observe(labels, (record.delivery.waitedMs + elapsedMs) / 1000);
      }
      this.#bytes.inc(labels, bytes);
    }
    if (outcome.throttled > 0) this.#throttled.inc(labels, outcome.throttled);
    this.#refused(goalId, outcome.failures);
  }

  unsendable(goalId: string, failures: readonly FailedDelivery[]): void {
    this.#refused(goalId, failures);
  }

  #refused(goalId: string, failures: readonly FailedDelivery[]): void {
    if (failures.length === 0) return;
    const dead = failures.filter((failure) => failure.retryInMs === undefined);
    this.#retries.inc({ goal: goalId }, failures.length - dead.length);
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
    for (const { goalId, pending, backfill, failed, oldestSeconds } of goals) {
      this.#backlog.set({ goal: goalId, state: 'pending' }, pending);
      this.#backlog.set({ goal: goalId, state: 'backfill' }, backfill);
      this.#backlog.set({ goal: goalId, state: 'failed' }, failed);
      this.#lag.set({ goal: goalId }, oldestSeconds);
    }
    this.#outboxAge.set(outboxAgeSeconds);
  }

  #logRepeated(cause: string, log: () => void): void {
    const now = performance.now();
    if (now - (this.#lastLogged.get(cause) ?? -Infinity) < repeatedMs) return;
    this.#lastLogged.set(cause, now);
    log();
  }
}

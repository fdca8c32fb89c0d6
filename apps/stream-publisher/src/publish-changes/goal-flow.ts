import { retryDelayMs } from './retry-delay.js';

// Rows read for one request may weigh this much; a little below the service's 10 MiB, as sizes vary.
const targetRequestBytes = 8 * 1024 * 1024;

const leastThrottledLimit = 25;

// A stream that comes back is noticed within this, whatever it did before; a slot asks it no more often than that.
const longestRestMs = 5_000;

// Deliveries are written by single statements and dated by their start; hardly one takes as long as this to commit.
const lateCommitMs = 10_000;
// Should one take longer: so often everything is looked through.
const fullLookMs = 60_000;

// A goal that was late twice in a row is not waited for again within this; twice as long each time, up to a minute.
const firstShunMs = 1_000;
const longestShunMs = 60_000;

/**
 * How fast one goal sends from one set of lanes: halves its requests when whole requests fail, doubles them when they pass,
 * and rests in between. Times are `performance.now()`.
 */
export class GoalFlow {
  readonly #maxRecords: number;
  #limit: number;
  #averageBytes = 1024;
  #failedRequests = 0;
  #restUntilMs = 0;
  /** A request is under way, or its outcome not yet written down. */
  busy = false;
  /** When to ask next what is due. */
  lookAtMs = 0;
  /** The last look found more than it sent: mostly backfill. */
  owesMore = false;
  /** When changes were last due, rather than only backfill. */
  changedAtMs = -Infinity;
  #lanesSeen: ReadonlySet<number> = new Set();
  #dueAfterMs = 0;
  #fullLookAtMs = 0;
  #lateInARow = 0;
  #shunnedUntilMs = -Infinity;
  /** What the goal's owner was told last by this process. */
  shown: 'works' | 'fault' | undefined;

  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords;
    this.#limit = maxRecords;
  }

  /** Records to ask for. */
  get limit(): number {
    return Math.max(1, Math.min(this.#limit, Math.floor(targetRequestBytes / this.#averageBytes)));
  }

  /** Requests that failed as a whole since the last that did not. */
  get failedRequests(): number {
    return this.#failedRequests;
  }

  /** When the goal may send again; undefined while it is busy. */
  get readyAtMs(): number | undefined {
    return this.busy ? undefined : Math.max(this.lookAtMs, this.#restUntilMs);
  }

  /**
   * Whether changes may be sent right away: the goal is free, sends at full speed and with records of usual size, owes nothing that is due,
   * and has been answering in time. All others are better off with their changes written down.
   */
  isClear(nowMs: number): boolean {
    const { readyAtMs } = this;
    return (
      readyAtMs !== undefined &&
      nowMs >= this.#restUntilMs &&
      nowMs < readyAtMs &&
      nowMs >= this.#shunnedUntilMs &&
      this.limit === this.#maxRecords
    );
  }

  /** Others had to go on without its answer. */
  answersLate(nowMs: number): void {
    if (this.#lateInARow > 0)
      this.#shunnedUntilMs = nowMs + Math.min(longestShunMs, firstShunMs * 2 ** Math.min(20, this.#lateInARow - 1));
    this.#lateInARow += 1;
  }

  answeredInTime(): void {
    this.#lateInARow = 0;
  }

  lookBy(timeMs: number): void {
    this.lookAtMs = Math.min(this.lookAtMs, timeMs);
  }

  /** Epoch milliseconds on the database's clock: nothing in these lanes is due since before. 0: unknown. */
  dueAfterMs(lanes: readonly number[], nowMs: number): number {
    const known = nowMs < this.#fullLookAtMs && lanes.every((lane) => this.#lanesSeen.has(lane));
    return known ? this.#dueAfterMs : 0;
  }

  /** The last look found `due` in these lanes, and that was all: whatever else becomes due is due since later. */
  sawAllDue(lanes: readonly number[], due: readonly { readonly dueSinceMs: number }[], nowMs: number): void {
    if (due.length === 0) return;
    if (this.dueAfterMs(lanes, nowMs) === 0) this.#fullLookAtMs = nowMs + fullLookMs;
    this.#lanesSeen = new Set(lanes);
    this.#dueAfterMs = due.reduce((least, { dueSinceMs }) => Math.min(least, dueSinceMs), Infinity) - lateCommitMs;
  }

  requestPassed(records: number, bytes: number): void {
    this.#failedRequests = 0;
    this.#limit = Math.min(this.#maxRecords, this.#limit * 2);
    if (records > 0) this.#averageBytes = bytes / records;
  }

  /**
   * The stream had no room for `throttled` of the records. A second later a shard takes as much again, so the rest is up to a second,
   * by how many there were: a single one, whose shard may be the only busy one, holds up nobody.
   */
  requestThrottled(nowMs: number, throttled: number, random: () => number = Math.random): void {
    const share = Math.min(1, throttled / this.#maxRecords);
    this.#failedRequests = 0;
    this.#limit = Math.max(Math.min(leastThrottledLimit, this.#maxRecords), Math.floor(this.#limit * (1 - share / 2)));
    this.#restUntilMs = nowMs + 1000 * share * (0.5 + random());
  }

  /** `records`: that were to be sent. */
  requestFailed(nowMs: number, records: number, random: () => number = Math.random): void {
    this.#failedRequests += 1;
    this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, records) / 2));
    this.#restUntilMs = nowMs + Math.min(longestRestMs, retryDelayMs(this.#failedRequests, random));
    this.lookAtMs = this.#restUntilMs;
  }
}

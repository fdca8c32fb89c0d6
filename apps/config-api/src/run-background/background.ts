import type { Database } from '@millrace/database';
import {
  consumeWakeUps,
  removeExpiredWork,
  repeat,
  type Consumer,
  type Log,
  type Repeating,
  type WakeUps,
} from '@millrace/job-queue';
import { buildSegments, checkTimers, removeOldTombstones } from '@millrace/profile-store';
import { removeOldBatches } from '../ingest-updates/ingest-updates.js';
import type { KeepRuns } from '../run-connection/keep-runs.js';

export interface BackgroundOptions {
  readonly database: Database;
  readonly wakeUps: WakeUps;
  readonly keepRuns: KeepRuns;
  readonly log: Log;
  /** How long a batch id is remembered. */
  readonly ingestionBatchDays: number;
  /** How long an erasure is remembered. */
  readonly tombstoneDays: number;
}

/** What goes on without a request. Safe with several instances: each piece of work is taken under a lock, or does no harm twice. */
export class Background {
  readonly #options: BackgroundOptions;
  #runs: Consumer | undefined;
  #loops: { readonly segments: Repeating; readonly timers: Repeating; readonly retention: Repeating } | undefined;

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  start(): void {
    const { database, wakeUps, keepRuns, log, ingestionBatchDays, tombstoneDays } = this.#options;
    keepRuns
      .readAgain()
      .catch((error: unknown) => log.warn({ err: error }, 'events put aside stay there until the next start'));
    this.#runs = consumeWakeUps(wakeUps, 'run-event', () => keepRuns.catchUp(), { log });
    const wakeStreams = (): Promise<void> => wakeUps.wake('stream-lane', { version: 1 });
    this.#loops = {
      segments: repeat({ name: 'building segments', intervalMs: 1000, log }, () =>
        stepThen(buildSegments(database), wakeStreams),
      ),
      timers: repeat({ name: 'checking memberships that time changes', intervalMs: 5000, log }, () =>
        stepThen(checkTimers(database), wakeStreams),
      ),
      retention: repeat({ name: 'removing what is kept no longer', intervalMs: 3_600_000, log }, async () => {
        const removed = [
          await removeExpiredWork(database),
          await removeOldBatches(database, ingestionBatchDays),
          await removeOldTombstones(database, tombstoneDays),
        ];
        return removed.some((rows) => rows > 0);
      }),
    };
    for (const loop of Object.values(this.#loops)) void loop.now();
  }

  /** A segment was defined: do not wait for the next look. */
  readonly segmentsChanged = (): void => void this.#loops?.segments.now();

  /** Resolves when what is under way has ended. */
  async stop(): Promise<void> {
    const { segments, timers, retention } = this.#loops ?? {};
    await Promise.all([this.#runs?.stop(), segments?.stop(), timers?.stop(), retention?.stop()]);
  }
}

/** Memberships may have changed, and stream goals show them. */
async function stepThen(step: Promise<boolean>, wake: () => Promise<void>): Promise<boolean> {
  const more = await step;
  if (more) await wake();
  return more;
}

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
import type { AlertEvents } from '../raise-alerts/alert.events.js';
import { forgetIncidents } from '../raise-alerts/queue-alerts.js';
import { watchRuns } from '../raise-alerts/watch-runs.js';
import { watchStreams } from '../raise-alerts/watch-streams.js';
import { removeOldAlerts } from '../send-alerts/alert-outbox.js';
import type { SendAlerts } from '../send-alerts/send-alerts.js';
import { removeOldBatches } from '../ingest-updates/ingest-updates.js';
import type { KeepRuns } from '../run-connection/keep-runs.js';

export interface BackgroundOptions {
  readonly database: Database;
  readonly wakeUps: WakeUps;
  readonly keepRuns: KeepRuns;
  readonly sendAlerts: SendAlerts;
  readonly alertEvents: AlertEvents;
  readonly log: Log;
  /** How long a batch id is remembered. */
  readonly ingestionBatchDays: number;
  /** How long an erasure is remembered. */
  readonly tombstoneDays: number;
  /** How long alerts that were sent or given up are listed. */
  readonly alertDays: number;
  /** How often runs and streams are looked at for alerts. */
  readonly alertWatchMs: number;
}

/** What goes on without a request. Safe with several instances: each piece of work is taken under a lock, or does no harm twice. */
export class Background {
  readonly #options: BackgroundOptions;
  #runs: Consumer | undefined;
  #loops: Readonly<Record<'segments' | 'timers' | 'alerts' | 'retention', Repeating>> | undefined;

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  start(): void {
    const { database, wakeUps, keepRuns, log, sendAlerts, ingestionBatchDays, tombstoneDays, alertDays } =
      this.#options;
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
      alerts: repeat({ name: 'looking for alerts', intervalMs: this.#options.alertWatchMs, log }, () => this.#watch()),
      retention: repeat({ name: 'removing what is kept no longer', intervalMs: 3_600_000, log }, async () => {
        const removed = [
          await removeExpiredWork(database),
          await removeOldBatches(database, ingestionBatchDays),
          await removeOldTombstones(database, tombstoneDays),
          await removeOldAlerts(database, alertDays),
          await forgetIncidents(database),
        ];
        return removed.some((rows) => rows > 0);
      }),
    };
    for (const loop of Object.values(this.#loops)) void loop.now();
    sendAlerts.start();
  }

  /** A segment was defined: do not wait for the next look. */
  readonly segmentsChanged = (): void => void this.#loops?.segments.now();

  /** Resolves when what is under way has ended. */
  async stop(): Promise<void> {
    const loops = Object.values(this.#loops ?? {});
    await Promise.all([this.#runs?.stop(), this.#options.sendAlerts.stop(), ...loops.map((loop) => loop.stop())]);
  }

  async #watch(): Promise<void> {
    const { database, alertEvents, sendAlerts } = this.#options;
    const delayed = await watchRuns(database);
    const seen = await watchStreams(database);
    alertEvents.streamsSeen(seen);
    if (delayed + (seen?.told ?? 0) > 0) sendAlerts.now();
  }
}

/** Memberships may have changed, and stream goals show them. */
async function stepThen(step: Promise<boolean>, wake: () => Promise<void>): Promise<boolean> {
  const more = await step;
  if (more) await wake();
  return more;
}

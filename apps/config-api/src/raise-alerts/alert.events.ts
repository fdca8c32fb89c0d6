import type { Executor } from '@millrace/database';
import type { Log } from '@millrace/job-queue';
import type { Metrics } from '@millrace/service-kit';
import { readAlertBacklog } from '../send-alerts/alert-outbox.js';
import type { StreamsSeen } from './watch-streams.js';

/** What is found out about streams and sent to people: logged and counted in one place. */
export class AlertEvents {
  readonly #unsent;
  readonly #late;
  readonly #attempts;
  readonly #log: Log;

  constructor(executor: Executor, metrics: Metrics, log: Log) {
    this.#log = log;
    this.#unsent = metrics.gauge({
      name: 'millrace_stream_unsent_seconds',
      help: 'Age of the oldest change that is not on the stream, whether or not a publisher runs',
      labels: ['goal'],
    });
    this.#late = metrics.gauge({
      name: 'millrace_streams_late',
      help: 'Stream goals whose oldest unsent change is older than they allow',
    });
    this.#attempts = metrics.counter({
      name: 'millrace_alert_attempts_total',
      help: 'Attempts to send an alert, by how they ended',
      labels: ['channel', 'outcome'],
    });
    metrics.gauge({
      name: 'millrace_alerts_pending',
      help: 'Alerts that no receiver has taken yet',
      collect: async (gauge) => gauge.set((await readAlertBacklog(executor)).pending),
    });
  }

  /** Undefined: another instance looks, and shows the figures. */
  streamsSeen(seen: StreamsSeen | undefined): void {
    this.#unsent.reset();
    this.#late.set(0);
    if (seen === undefined) return;
    const { streams, began, ended } = seen;
    for (const { goalId, unsentSeconds } of streams) this.#unsent.set({ goal: goalId }, unsentSeconds);
    this.#late.set(streams.filter(({ late }) => late).length);
    for (const goalId of began)
      this.#log.error({ goalId }, 'the oldest unsent change of a stream goal is older than the goal allows');
    for (const goalId of ended) this.#log.info({ goalId }, 'a stream goal is no longer late');
  }

  attemptEnded(channel: string, outcome: string): void {
    this.#attempts.inc({ channel, outcome });
  }
}

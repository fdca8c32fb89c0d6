import { loadGoalSnapshot } from '@millrace/job-queue';
import type { Exporter } from '../run-export/exporter.js';
import { type AbandonedExport, takeLeftAbandoned } from '../storage/exports.js';
import { defaultRetention, removeExpiredExports, type Retention, takeForgotten } from '../storage/retention.js';
import { removeAbandoned } from './abandon-export.js';

/** Longer than any removal under way takes. */
const leftAfterMs = 60_000;

/** Removes what earlier removals could not, because the store was away or the process died. Returns how many exports it looked at. */
export async function sweepAbandoned(exporter: Exporter, olderThanMs = leftAfterMs): Promise<number> {
  const left = await takeLeftAbandoned(exporter.database, olderThanMs);
  for (const abandoned of left) {
    try {
      await remove(exporter, abandoned);
    } catch (error) {
      exporter.events.removalFailed({ runId: abandoned.runId, goalId: abandoned.goalId }, error);
    }
  }
  return left.length;
}

async function remove(exporter: Exporter, { runId, goalId, snapshotId }: AbandonedExport): Promise<void> {
  const snapshot = await loadGoalSnapshot(exporter.database, snapshotId);
  if (snapshot.goal.kind !== 'export-profiles') return;
  const { store } = exporter.openTarget(snapshot);
  try {
    await removeAbandoned(exporter, { key: { runId, goalId }, goal: snapshot.goal, store });
  } finally {
    store.close();
  }
}

/** Sweeps now and then until stopped, and removes exports whose time has passed. */
export class AbandonedSweep {
  readonly #exporter: Exporter;
  readonly #retention: Retention;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(exporter: Exporter, retention = defaultRetention, everyMs = leftAfterMs) {
    this.#exporter = exporter;
    this.#retention = retention;
    this.#everyMs = everyMs;
  }

  start(): void {
    // Without a database there is nothing to sweep; the next round asks again.
    this.#sweeping = sweepAbandoned(this.#exporter)
      .then(() => this.#removeExpired())
      .catch(() => undefined)
      .then(() => {
        if (!this.#stopped) this.#timer = setTimeout(() => this.start(), this.#everyMs);
      });
  }

  async #removeExpired(): Promise<void> {
    const { database } = this.#exporter;
    await takeForgotten(database);
    while (!this.#stopped && (await removeExpiredExports(database, this.#retention)) > 0) continue;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }
}

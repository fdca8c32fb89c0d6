import type { Executor } from '@millrace/database';
import type { Progress } from '@millrace/domain';
import { writeRunEvent, type RunEventTarget, type WakeUps } from '@millrace/job-queue';

export interface ProgressTellerOptions {
  readonly target: RunEventTarget;
  readonly wakeUps: WakeUps;
  readonly intervalMs?: number;
  readonly now?: () => number;
}

/** Tells how far a goal has come, at most every half second. Events hold totals, so one left out is no loss. */
export class ProgressTeller {
  readonly #options: ProgressTellerOptions;
  readonly #now: () => number;
  #toldAt = -Infinity;

  constructor(options: ProgressTellerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Writes the event if it is time. Returns whether it did: `wake` after the commit then. */
  async tell(
    executor: Executor,
    progress: () => Progress,
    counts: () => Readonly<Record<string, unknown>>,
  ): Promise<boolean> {
    const now = this.#now();
    if (now - this.#toldAt < (this.#options.intervalMs ?? 500)) return false;
    this.#toldAt = now;
    await writeRunEvent(executor, this.#options.target, {
      kind: 'goal-progress',
      progress: progress(),
      counts: counts(),
    });
    return true;
  }

  /** A sentence for the person who looks at the run. */
  async note(executor: Executor, level: 'info' | 'warn', message: string, at?: string): Promise<void> {
    await writeRunEvent(executor, this.#options.target, {
      kind: 'goal-note',
      level,
      message,
      ...(at === undefined ? {} : { at }),
    });
  }

  async wake(): Promise<void> {
    await this.#options.wakeUps.wake('run-event', { version: 1 });
  }
}

import type { Executor } from '@millrace/database';
import { readChangedRuns } from './read-runs.js';
import { isOver, type RunView } from './run-views.js';

export interface Listener {
  /** The run as it is now. States in between may be left out: each is complete. */
  onChange(run: RunView): void;
  /** No more changes: the run is over, or the service stops. */
  onEnd(): void;
}

interface Followed {
  revision: number;
  readonly runId: string;
  readonly listener: Listener;
}

/**
 * Tells listeners of changed runs. Whichever instance changes a run, the others see it by asking for the revisions of all
 * followed runs at once, and only while somebody follows.
 */
export class FollowRuns {
  readonly #executor: Executor;
  readonly #intervalMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #followed = new Set<Followed>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #again = false;

  constructor(
    executor: Executor,
    options: { readonly intervalMs?: number; readonly onError: (error: unknown) => void },
  ) {
    this.#executor = executor;
    this.#intervalMs = options.intervalMs ?? 500;
    this.#onError = options.onError;
  }

  /** `revision`: what the listener knows already. Returns a function that ends it without `onEnd`. */
  follow(runId: string, revision: number, listener: Listener): () => void {
    const followed: Followed = { runId, revision, listener };
    this.#followed.add(followed);
    this.lookNow();
    return () => this.#followed.delete(followed);
  }

  /** Something may have changed: do not wait for the next look. */
  lookNow(): void {
    if (this.#followed.size === 0) return;
    clearTimeout(this.#timer);
    if (this.#looking !== undefined) {
      this.#again = true;
      return;
    }
    this.#looking = this.#look()
      .catch((error: unknown) => this.#onError(error))
      .finally(() => {
        this.#looking = undefined;
        if (this.#followed.size === 0) return;
        const again = this.#again;
        this.#again = false;
        if (again) this.lookNow();
        else this.#timer = setTimeout(() => this.lookNow(), this.#intervalMs);
      });
  }

  /** Ends all listeners. */
  async close(): Promise<void> {
    for (const { listener } of this.#followed) listener.onEnd();
    this.#followed.clear();
    clearTimeout(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const known = new Map<string, number>();
    for (const { runId, revision } of this.#followed)
      known.set(runId, Math.min(revision, known.get(runId) ?? revision));
    const changed = new Map((await readChangedRuns(this.#executor, known)).map((run) => [run.id, run]));
    for (const followed of this.#followed) {
      const run = changed.get(followed.runId);
      if (run === undefined || run.revision <= followed.revision) continue;
      followed.revision = run.revision;
      followed.listener.onChange(run);
      if (!isOver(run.state)) continue;
      this.#followed.delete(followed);
      followed.listener.onEnd();
    }
  }
}

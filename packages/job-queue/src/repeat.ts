import type { Log } from './log.js';

/** Something that runs again and again until stopped. */
export interface Repeating {
  /** Run now; a call during a run leads to one more run after it. Resolves when a run begun after this call has ended. */
  now(): Promise<void>;
  /** No new runs, the pauses are cut short; resolves when the current one has ended. */
  stop(): Promise<void>;
}

export interface RepeatOptions {
  /** Completes "... failed". */
  readonly name: string;
  /** From the end of a run to the beginning of the next that nobody asked for. */
  readonly intervalMs: number;
  /** Least time between two runs, however often it is asked for and however much is left to do. Default 0. */
  readonly minGapMs?: number;
  readonly log: Log;
  /** Told of errors in place of the log. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Runs `work`, once first asked to by `now`, every `intervalMs` and when asked, never twice at once; and at once again while it
 * returns true, for "there is more". What it throws is told, and tried again after the interval.
 */
export function repeat(options: RepeatOptions, work: () => Promise<boolean | void>): Repeating {
  const { name, intervalMs, minGapMs = 0, log } = options;
  const tell =
    options.onError ?? ((error) => log.warn({ err: error }, `${name} failed: tried again in ${intervalMs} ms`));
  let timer: NodeJS.Timeout | undefined;
  let endPause: () => void = () => undefined;
  let running: Promise<void> | undefined;
  let pausing = false;
  let next: Promise<void> | undefined;
  let earliestAt = -Infinity;
  let stopped = false;

  const pause = async (ms: number): Promise<void> => {
    pausing = true;
    await new Promise<void>((resolve) => {
      endPause = resolve;
      timer = setTimeout(resolve, ms);
    });
    pausing = false;
  };

  const run = async (): Promise<void> => {
    for (let more = true; more && !stopped;) {
      const restMs = earliestAt - performance.now();
      if (restMs > 0) await pause(restMs);
      if (stopped) return;
      try {
        more = (await work()) === true;
      } catch (error) {
        tell(error);
        more = false;
      }
      earliestAt = performance.now() + minGapMs;
    }
    if (!stopped) timer = setTimeout(() => void now(), intervalMs);
  };

  const now = (): Promise<void> => {
    if (stopped) return Promise.resolve();
    if (running === undefined) {
      clearTimeout(timer);
      running = run().finally(() => (running = undefined));
      return running;
    }
    if (pausing) return running;
    next ??= running.then(() => {
      next = undefined;
      return now();
    });
    return next;
  };

  return {
    now,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      endPause();
      await running;
    },
  };
}

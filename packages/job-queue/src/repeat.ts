import type { Log } from './log.js';

/** Something that runs again and again until stopped. */
export interface Repeating {
  /** Run now; a call during a run leads to one more run after it. Resolves when a run begun after this call has ended. */
  now(): Promise<void>;
  /** No new runs; resolves when the current one has ended. */
  stop(): Promise<void>;
}

/** Runs `work` every `intervalMs` (counted from the end of the last run) and when asked, never twice at once. Errors are logged. */
export function repeat(
  options: { readonly name: string; readonly intervalMs: number; readonly log: Log },
  work: () => Promise<void>,
): Repeating {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let stopped = false;

  const run = async (): Promise<void> => {
    clearTimeout(timer);
    try {
      await work();
    } catch (error) {
      options.log.warn({ err: error }, `${options.name} failed: tried again in ${options.intervalMs} ms`);
    }
    if (!stopped) timer = setTimeout(() => void now(), options.intervalMs);
  };

  const now = (): Promise<void> => {
    if (stopped) return Promise.resolve();
    if (running === undefined) {
      running = run().finally(() => (running = undefined));
      return running;
    }
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
      await running;
    },
  };
}

import type { Log } from '@millrace/job-queue';

export interface Loop {
  /** Look now instead of at the end of the pause. */
  now(): void;
  /** No new steps; resolves when the current one has ended. */
  stop(): Promise<void>;
}

/**
 * Does `step` again and again: at once while it returns true, after a pause otherwise. One step at a time. What it throws is logged,
 * and tried again after the pause.
 */
export function loop(
  options: { readonly name: string; readonly pauseMs: number; readonly log: Log },
  step: () => Promise<boolean>,
): Loop {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = false;

  const run = async (): Promise<void> => {
    let more = true;
    while (more && !stopped) {
      again = false;
      try {
        more = (await step()) || again;
      } catch (error) {
        options.log.warn({ err: error }, `${options.name} failed: tried again in ${options.pauseMs} ms`);
        more = false;
      }
    }
  };
  const now = (): void => {
    if (stopped) return;
    again = true;
    if (running !== undefined) return;
    clearTimeout(timer);
    running = run().finally(() => {
      running = undefined;
      if (!stopped) timer = setTimeout(now, options.pauseMs);
    });
  };
  now();
  return {
    now,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

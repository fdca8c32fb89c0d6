import type { Logger } from './logger.js';

export interface StopOptions {
  readonly logger: Logger;
  readonly stop: () => Promise<void>;
  /** The process ends after this, stopped or not. Default 10 s, less a little so that the last log line gets out. */
  readonly withinMs?: number;
  readonly exit?: (code: number) => void;
}

/** Stops gracefully on the first SIGTERM or SIGINT and exits 0; a second one, or too long a stop, exits 1 at once. */
export function stopOnSignals(options: StopOptions): void {
  const { logger } = options;
  const exit = options.exit ?? ((code: number) => process.exit(code));
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) {
      logger.warn({ signal }, 'second signal: ended at once');
      exit(1);
      return;
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    const withinMs = options.withinMs ?? 9500;
    setTimeout(() => {
      logger.error({}, `not stopped within ${withinMs} ms: ended anyway, unfinished work is taken over`);
      exit(1);
    }, withinMs).unref();
    options.stop().then(
      () => {
        logger.info({}, 'stopped');
        exit(0);
      },
      (error: unknown) => {
        logger.error({ err: error }, 'stopping failed');
        exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

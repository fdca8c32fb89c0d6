import type { LoggerService } from '@nestjs/common';
import type { Logger } from './logger.js';

/** Nest's own messages as lines of our log: its chatter about modules and routes at debug. */
export function nestLogger(logger: Logger): LoggerService {
  const line = (message: unknown, rest: readonly unknown[]): [object, string] => {
    const context = rest.at(-1);
    const fields = typeof context === 'string' ? { context } : {};
    return message instanceof Error ? [{ ...fields, err: message }, message.name] : [fields, String(message)];
  };
  return {
    log: (message: unknown, ...rest: unknown[]) => logger.debug(...line(message, rest)),
    debug: (message: unknown, ...rest: unknown[]) => logger.trace(...line(message, rest)),
    verbose: (message: unknown, ...rest: unknown[]) => logger.trace(...line(message, rest)),
    warn: (message: unknown, ...rest: unknown[]) => logger.warn(...line(message, rest)),
    error: (message: unknown, ...rest: unknown[]) => logger.error(...line(message, rest)),
    fatal: (message: unknown, ...rest: unknown[]) => logger.fatal(...line(message, rest)),
  };
}

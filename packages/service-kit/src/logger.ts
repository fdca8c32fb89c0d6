import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { safeError } from './safe-error.js';

export type Logger = PinoLogger;
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';

// Names whose values never belong in a log, as fields of the record or one or two objects down. Numbers pass: `rows: 12` is a count.
const secretNames = [
  'apiKey',
  'authorization',
  'cookie',
  'password',
  'passphrase',
  'privateKey',
  'secretAccessKey',
  'sealingKey',
  'sessionToken',
  'accessToken',
  'signature',
  'credentials',
  'body',
  'row',
  'rows',
  'identities',
  'properties',
];

/**
 * JSON lines on standard output (or `destination`). Levels: error = data lost or somebody must act, warn = odd but handled,
 * info = start and finish of something, debug = the steps between. Errors go under `err` and are stripped of data they quote.
 */
export function createLogger(options: {
  readonly service: string;
  readonly level?: LogLevel;
  readonly destination?: DestinationStream;
}): Logger {
  const settings = {
    level: options.level ?? 'info',
    base: { service: options.service },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: (error: unknown) => safeError(error), error: (error: unknown) => safeError(error) },
    redact: {
      paths: secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: (value: unknown) => (typeof value === 'number' ? value : '[redacted]'),
    },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}

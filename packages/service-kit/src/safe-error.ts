/** An error as the log may show it. */
export interface SafeError {
  readonly type: string;
  readonly code?: string;
  readonly message: string;
  readonly at?: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly stack?: string;
  readonly cause?: SafeError;
}

/**
 * What an error may say in the log: no fields that quote data. PostgreSQL puts row contents into `detail`, `where`, and, for bad
 * values (SQLSTATE classes 22 and 23), into the message between quotes.
 */
export function safeError(error: unknown, depth = 0): SafeError {
  if (!(error instanceof Error)) return { type: typeof error, message: 'something that is no Error was thrown' };
  const fields = error as Error & {
    code?: unknown;
    at?: unknown;
    constraint?: unknown;
    table?: unknown;
    severity?: unknown;
  };
  const code = typeof fields.code === 'string' ? fields.code : undefined;
  const quotesData = typeof fields.severity === 'string' && code !== undefined && /^2[23]/.test(code);
  const message = quotesData ? error.message.replace(/"[^]*"/, '"..."') : error.message;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    message,
    ...(typeof fields.at === 'string' ? { at: fields.at } : {}),
    ...(typeof fields.constraint === 'string' ? { constraint: fields.constraint } : {}),
    ...(typeof fields.table === 'string' ? { table: fields.table } : {}),
    ...(frames.length === 0 ? {} : { stack: frames.join('\n') }),
    ...(error.cause === undefined || depth >= 4 ? {} : { cause: safeError(error.cause, depth + 1) }),
  };
}

/** What happened, in a form programs can branch on: kebab-case, never changed once published. */
export type ErrorCode = string;

export interface ErrorDetails {
  /** Where the person should look: a field path (`source.bucket`), or `file.csv:120:email`. */
  readonly at?: string | undefined;
  readonly cause?: unknown;
}

abstract class MillraceError extends Error {
  readonly code: ErrorCode;
  readonly at: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.at = details.at;
  }
}

/** A person must change something (a key, a file, a setting). Shown as 4xx; never retried. */
export class InputError extends MillraceError {}

/** The same call may succeed later (a network fault, a busy service). Retried with backoff. */
export class TransientError extends MillraceError {}

/** `{code, message, at}` of any error, safe to store and show: bugs are reduced to their class, never their content. */
export interface ErrorSummary {
  readonly code: ErrorCode;
  readonly message: string;
  readonly at?: string | undefined;
}

export function summariseError(error: unknown): ErrorSummary {
  if (error instanceof InputError || error instanceof TransientError) {
    return { code: error.code, message: error.message, ...(error.at === undefined ? {} : { at: error.at }) };
  }
  return { code: 'internal', message: 'an unexpected error stopped this work; the service log has the details' };
}

import { InputError, TransientError } from '@millrace/domain';

/** What a person can do about a failed start, or undefined for a bug, which needs its stack. */
export function explainStartFailure(error: unknown, port: number): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE')
    return `port ${port} is taken: end the program that uses it, or set MILLRACE_PORT to another one`;
  if (code === 'EACCES') return `port ${port} needs more rights: set MILLRACE_PORT to one above 1023`;
  if (error instanceof TransientError && error.code === 'database-unavailable')
    return `${error.message}: check that it runs and MILLRACE_DATABASE_URL`;
  if (error instanceof InputError || error instanceof TransientError)
    return error.at === undefined ? error.message : `${error.at}: ${error.message}`;
  return undefined;
}

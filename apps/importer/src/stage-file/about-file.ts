import { InputError, TransientError } from '@millrace/domain';

/** The same error, saying which file it is about; errors that name it already, and bugs, come back as they are. */
export function aboutFile(error: unknown, file: string): unknown {
  if (error instanceof InputError || error instanceof TransientError) {
    if (error.message.includes(file)) return error;
    const details = { at: error.at === undefined ? file : `${file}: ${error.at}`, cause: error };
    const message = `${file}: ${error.message}`;
    return error instanceof InputError
      ? new InputError(error.code, message, details)
      : new TransientError(error.code, message, details);
  }
  return error;
}

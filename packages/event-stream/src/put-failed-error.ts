import { TransientError, type ErrorDetails } from '@millrace/domain';

/** A request to put records that failed as a whole. */
export class PutFailedError extends TransientError {
  /** True when the request may have arrived: sending its records again may then put them twice. */
  readonly maybeAccepted: boolean;

  constructor(message: string, maybeAccepted: boolean, details: ErrorDetails = {}) {
    super('event-stream-unavailable', message, details);
    this.maybeAccepted = maybeAccepted;
  }
}

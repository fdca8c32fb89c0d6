/**
 * Something on this machine keeps the stack from starting, and a person can do something about it.
 * The message says what happened; `nextStep` says what to do. Printed without a stack trace.
 */
export class StackError extends Error {
  readonly nextStep: string;

  constructor(message: string, nextStep: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StackError';
    this.nextStep = nextStep;
  }
}

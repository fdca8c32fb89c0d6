import { HttpException } from '@nestjs/common';
import { InputError, summariseError, TransientError } from '@millrace/domain';
import { z } from 'zod';
import { fieldErrors, type FieldError } from './field-errors.js';

/** The body of every error answer: https://www.rfc-editor.org/rfc/rfc9457 */
export const problem = z
  .object({
    type: z.string().describe('urn:millrace:error:<code>'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().describe('For programs: never changes once published'),
    at: z.string().optional().describe('The field or place to look at'),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;

/** A request that its schema refused. */
export class ValidationError extends InputError {
  readonly errors: readonly FieldError[];

  constructor(errors: readonly FieldError[]) {
    const first = errors[0];
    const where = first === undefined || first.field === '' ? 'the request' : first.field;
    super(
      'invalid-request',
      `${where}: ${first?.message ?? 'cannot be read'}`,
      first === undefined ? {} : { at: first.field },
    );
    this.errors = errors;
  }
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported content type',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Temporarily unavailable',
};

/** Any error as a problem document. What is not known shows nothing of its inside. */
export function toProblem(error: unknown): Problem {
  if (error instanceof InputError) {
    const errors = error instanceof ValidationError ? { errors: [...error.errors] } : {};
    return build(statusOf(error.code), error.code, error.message, {
      ...(error.at === undefined ? {} : { at: error.at }),
      ...errors,
    });
  }
  if (error instanceof TransientError) return build(503, error.code, error.message);
  if (error instanceof z.ZodError) return toProblem(new ValidationError(fieldErrors(error.issues)));
  if (error instanceof HttpException) return fromHttpException(error);
  const summary = summariseError(error);
  return build(500, summary.code, summary.message);
}

/** The HTTP status of an `InputError`, by its code. */
export function statusOf(code: string): number {
  const ends = (word: string): boolean => code === word || code.endsWith(`-${word}`);
  if (ends('not-found')) return 404;
  if (ends('conflict')) return 409;
  if (ends('unauthenticated')) return 401;
  if (ends('forbidden')) return 403;
  if (ends('too-large')) return 413;
  if (ends('unsupported-content-type')) return 415;
  if (ends('too-many-requests')) return 429;
  return 400;
}

function build(status: number, code: string, detail: string, more: Partial<Problem> = {}): Problem {
  return { type: `urn:millrace:error:${code}`, title: titles[status] ?? 'Error', status, detail, code, ...more };
}

function fromHttpException(error: HttpException): Problem {
  const status = error.getStatus();
  // Nest's message repeats the address, query and all.
  if (status === 404) return build(status, 'not-found', 'there is nothing at this address');
  if (status >= 500) return build(status, 'internal', summariseError(error).message);
  const code = (titles[status] ?? 'refused').toLowerCase().replaceAll(' ', '-');
  return build(status, code, error.message);
}

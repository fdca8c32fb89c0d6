import { HttpException } from '@nestjs/common';
import { InputError, TransientError } from '@millrace/domain';
import { z } from 'zod';
import { problem, toProblem, ValidationError } from './problem.js';

describe('toProblem', () => {
  it.each([
    ['bucket-name', 400],
    ['goal-not-found', 404],
    ['batch-conflict', 409],
    ['unauthenticated', 401],
    ['scope-forbidden', 403],
    ['body-too-large', 413],
    ['unsupported-content-type', 415],
  ])('answers an InputError %s with %i', (code, status) => {
    const body = toProblem(new InputError(code, 'says what to do', { at: 'name' }));
    expect(body).toMatchObject({
      type: `urn:millrace:error:${code}`,
      status,
      code,
      detail: 'says what to do',
      at: 'name',
    });
    expect(problem.parse(body)).toEqual(body);
  });

  it('answers a TransientError with 503', () => {
    expect(toProblem(new TransientError('database-unavailable', 'PostgreSQL cannot be reached')).status).toBe(503);
  });

  it('lists the fields a schema refused', () => {
    const { error } = z.object({ name: z.string() }).safeParse({});
    expect(toProblem(error)).toMatchObject({
      status: 400,
      code: 'invalid-request',
      at: 'name',
      errors: [{ field: 'name' }],
    });
    expect(toProblem(new ValidationError([{ field: 'a', message: 'b' }])).errors).toEqual([
      { field: 'a', message: 'b' },
    ]);
  });

  it('keeps the status of an HttpException', () => {
    expect(toProblem(new HttpException('slow down', 429))).toMatchObject({
      status: 429,
      code: 'too-many-requests',
      detail: 'slow down',
    });
  });

  it('shows nothing of what is unknown', () => {
    expect(JSON.stringify(toProblem(new Error('planted')))).not.toContain('planted');
    expect(JSON.stringify(toProblem(new HttpException('planted', 500)))).not.toContain('planted');
    expect(toProblem('planted').status).toBe(500);
  });
});

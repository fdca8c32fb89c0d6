import { InputError, TransientError } from '@millrace/domain';
import { explainStartFailure } from './start-failure.js';

describe('explainStartFailure', () => {
  it('tells what to do about a port that is taken', () => {
    expect(explainStartFailure(Object.assign(new Error('listen'), { code: 'EADDRINUSE' }), 3000)).toMatch(
      /port 3000 is taken.*MILLRACE_PORT/,
    );
  });

  it('tells which variable names the database', () => {
    expect(explainStartFailure(new TransientError('database-unavailable', 'PostgreSQL cannot be reached'), 1)).toMatch(
      /MILLRACE_DATABASE_URL/,
    );
  });

  it('passes on what a person can change', () => {
    expect(
      explainStartFailure(new InputError('redis-url', 'must look like redis://', { at: 'MILLRACE_REDIS_URL' }), 1),
    ).toBe('MILLRACE_REDIS_URL: must look like redis://');
  });

  it('leaves a bug to its stack', () => {
    expect(explainStartFailure(new TypeError('x is undefined'), 1)).toBeUndefined();
  });
});

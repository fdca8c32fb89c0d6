import { InputError } from '@millrace/domain';
import { safeError } from './safe-error.js';

function databaseError(code: string, message: string): Error {
  return Object.assign(new Error(message), {
    name: 'error',
    severity: 'ERROR',
    code,
    detail: 'Key (value)=(planted@example.com) already exists.',
    where: 'COPY staging, line 3: "planted@example.com"',
    constraint: 'identity_key',
    table: 'identity',
  });
}

describe('safeError', () => {
  it('keeps type, code, message, place, and where it was thrown', () => {
    expect(safeError(new InputError('csv-too-long', 'the row is too long', { at: 'f.csv:3' }))).toMatchObject({
      type: 'InputError',
      code: 'csv-too-long',
      message: 'the row is too long',
      at: 'f.csv:3',
      stack: expect.stringContaining('safe-error.spec'),
    });
  });

  it('leaves out what PostgreSQL quotes of a row, in the fields, the message and the stack', () => {
    const error = databaseError('22P02', 'invalid input syntax for type integer: "planted@example.com"');
    const safe = safeError(new Error('outer', { cause: error }));
    expect(JSON.stringify(safe)).not.toContain('planted');
    expect(safe.cause).toMatchObject({ code: '22P02', table: 'identity', constraint: 'identity_key' });
  });

  it('keeps identifiers in messages of other classes', () => {
    expect(safeError(databaseError('42P01', 'relation "work.unit" does not exist')).message).toContain('work.unit');
  });

  it('says nothing of a thrown value that is no Error', () => {
    expect(JSON.stringify(safeError('planted'))).not.toContain('planted');
  });

  it('follows causes, but not for ever', () => {
    const error = new Error('loop');
    error.cause = error;
    expect(JSON.stringify(safeError(error)).match(/loop/g)?.length).toBeLessThan(12);
  });
});

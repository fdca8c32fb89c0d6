import { InputError, TransientError } from '@millrace/domain';
import { aboutFile } from './about-file.js';

describe('aboutFile', () => {
  it('names the file in message and place, and keeps code and cause', () => {
    const error = new InputError('gzip-truncated', 'the gzip file ends early');
    expect(aboutFile(error, 'in/a.csv.gz')).toMatchObject({
      code: 'gzip-truncated',
      message: 'in/a.csv.gz: the gzip file ends early',
      at: 'in/a.csv.gz',
      cause: error,
    });
    expect(aboutFile(new TransientError('cut', 'cut'), 'a')).toBeInstanceOf(TransientError);
  });

  it('leaves errors that name the file, and bugs, as they are', () => {
    for (const error of [new InputError('x', 'in/a.csv has no column "b"'), new Error('bug')])
      expect(aboutFile(error, 'in/a.csv')).toBe(error);
  });
});

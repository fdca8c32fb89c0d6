import { dialectOf } from '../test/read-all.js';
import { copyOptions } from './index.js';

describe('copyOptions', () => {
  it('gives the options for the dialects COPY can write', () => {
    expect(copyOptions(dialectOf())).toEqual({
      format: 'csv',
      delimiter: ',',
      quote: '"',
      escape: '"',
      null: '',
      forceQuoteAll: false,
    });
    expect(copyOptions(dialectOf({ escape: 'backslash', quotePolicy: 'all', delimiter: ';' }))).toMatchObject({
      escape: '\\',
      forceQuoteAll: true,
      delimiter: ';',
    });
    expect(copyOptions(dialectOf({ quote: null, escape: 'backslash', delimiter: '\t', nullText: '\\N' }))).toEqual({
      format: 'text',
      delimiter: '\t',
      null: '\\N',
    });
  });

  it.each([
    ['CRLF', { lineEnding: 'crlf' }],
    ['a delimiter of two bytes', { delimiter: '§' }],
    ['a quote of two bytes', { quote: '«' }],
    ['no quotes and no escape', { quote: null }],
    ['null words COPY does not know', { nullWords: ['NULL', 'n/a'], nullText: 'NULL' }],
    ['trimming', { trim: true }],
    ['a guard against formulas', { formulaGuard: true }],
    ['a bare null word COPY would not protect', { quote: null, escape: 'backslash', nullText: 'NULL' }],
  ] as const)('gives none for %s', (_name, options) => {
    expect(
      copyOptions(dialectOf({ ...options, nullWords: [...(('nullWords' in options && options.nullWords) || [])] })),
    ).toBeUndefined();
  });
});

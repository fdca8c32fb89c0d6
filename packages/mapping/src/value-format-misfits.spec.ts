import { csvDialect } from '@millrace/domain';
import { valueFormatMisfits } from './value-format-misfits.js';

const misfits = (changes: object): readonly string[] =>
  valueFormatMisfits(csvDialect.parse(changes)).map(({ field, message }) => `${field}: ${message}`);

describe('valueFormatMisfits', () => {
  it('finds nothing in what can be read', () => {
    expect(misfits({})).toEqual([]);
    const european = {
      datePattern: 'dd.MM.yyyy',
      timestampPattern: "dd.MM.yyyy 'um' HH:mm",
      timeZone: 'Europe/Berlin',
    };
    expect(misfits({ ...european, trueWords: ['ja'], falseWords: ['nein'], list: { open: '[', close: ']' } })).toEqual(
      [],
    );
  });

  it('names patterns, zones, words and brackets that cannot be used', () => {
    expect(misfits({ datePattern: 'DD/MM/YYYY' })[0]).toContain('datePattern: the date pattern "DD/MM/YYYY" has "DD"');
    expect(misfits({ timestampPattern: 'yyyy-MM-dd hh:mm' })[0]).toContain('timestampPattern: ');
    expect(misfits({ timeZone: 'Mars/Base' })).toEqual(['timeZone: there is no time zone "Mars/Base"']);
    expect(misfits({ falseWords: ['YES'] })).toEqual(['trueWords: "yes" stands for true and for false']);
    expect(misfits({ list: { open: '[;', close: ']' } })[0]).toContain('list: the separator');
  });
});

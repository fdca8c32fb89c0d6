import { dialectOf, readAll } from '../test/read-all.js';
import { formatHeader, rowFormatter } from './index.js';

describe('rowFormatter', () => {
  it('quotes only where reading needs it', () => {
    const format = rowFormatter(dialectOf());
    expect(format(['a', 'b c', 'd,e', 'f"g', 'h\ni', 'j\rk', " l'"])).toBe('a,b c,"d,e","f""g","h\ni","j\rk", l\'\n');
  });

  it('tells no value from an empty text', () => {
    expect(rowFormatter(dialectOf())([null, ''])).toBe(',""\n');
    expect(rowFormatter(dialectOf({ nullText: 'NULL' }))([null, '', 'NULL'])).toBe('NULL,,"NULL"\n');
    expect(rowFormatter(dialectOf({ quotePolicy: 'all' }))([null, '', 'a'])).toBe(',"","a"\n');
  });

  it('escapes with a backslash where the dialect says so', () => {
    const format = rowFormatter(dialectOf({ escape: 'backslash' }));
    expect(format(['say "hi"', 'C:\\temp', 'a,\\b'])).toBe('"say \\"hi\\"",C:\\temp,"a,\\\\b"\n');
  });

  it('writes the text form of COPY', () => {
    const format = rowFormatter(dialectOf({ quote: null, escape: 'backslash', delimiter: '\t', nullText: '\\N' }));
    expect(format(['a\tb', 'c\\d', 'e\nf\r', null, '\\N'])).toBe('a\\tb\tc\\\\d\te\\nf\\r\t\\N\t\\\\N\n');
  });

  it('is right for delimiters that mean something in a pattern', () => {
    for (const delimiter of [']', '\\', '^', '-', '$']) {
      expect(rowFormatter(dialectOf({ delimiter }))([`a${delimiter}b`, 'c'])).toBe(`"a${delimiter}b"${delimiter}c\n`);
    }
    expect(rowFormatter(dialectOf({ quote: '$' }))(['a$b'])).toBe('$a$$b$\n');
  });

  it('ends lines with CRLF on demand', () => {
    expect(rowFormatter(dialectOf({ lineEnding: 'crlf' }))(['a', 'b'])).toBe('a,b\r\n');
  });

  it('guards what a spreadsheet would run where asked to, and no number', () => {
    const values = ['=1+1', '@a', '+49 30', '-5', '+5,25', "'=x", "it's", '-', '\tx', 'a=b'];
    const format = rowFormatter(dialectOf({ formulaGuard: true, delimiter: ';' }));
    expect(format(values)).toBe("'=1+1;'@a;'+49 30;-5;+5,25;''=x;it's;'-;'\tx;a=b\n");
    expect(rowFormatter(dialectOf({ delimiter: ';' }))(values)).toBe(`${values.join(';')}\n`);
    expect(formatHeader(['=id'], dialectOf({ formulaGuard: true }))).toBe('=id\n');
  });

  it('refuses what could not be read back', () => {
    const bare = rowFormatter(dialectOf({ quote: null, nullText: 'NULL' }));
    expect(() => bare(['x', 'a,b'])).toThrow('field 2 holds a delimiter or a line break');
    expect(() => bare(['NULL'])).toThrow('reads like the word for no value');
    expect(() => rowFormatter(dialectOf())(['a\0b'])).toThrow('NUL');
    expect(() => rowFormatter(dialectOf({ nullText: 'a,b' }))).toThrow('nullText');
    expect(() => rowFormatter(dialectOf({ quote: null, escape: 'backslash', delimiter: 'n' }))).toThrow('delimiter');
  });
});

describe('formatHeader', () => {
  it('quotes a first name that would be taken for something else', async () => {
    for (const name of ['sep=;', '\ufeffid', '%PDF-1', 'PAR1']) {
      const dialect = dialectOf();
      const header = formatHeader([name, 'b'], dialect);
      expect(header).toBe(`"${name}",b\n`);
      expect((await readAll(header, dialect)).header).toEqual([name, 'b']);
    }
    expect(() => formatHeader(['sep=;'], dialectOf({ quote: null }))).toThrow('header');
  });
});

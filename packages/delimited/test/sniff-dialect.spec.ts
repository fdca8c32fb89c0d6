import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { sniffDialect, sniffWrapping } from '../src/index.js';

const golden = (name: string): Buffer => readFileSync(join(import.meta.dirname, 'fixtures', name, 'input.csv'));
const sniff = (text: string, encoding: BufferEncoding = 'utf8') => sniffDialect(Buffer.from(text, encoding), true);

describe('golden files', () => {
  it("reads Excel's separator line, a German decimal comma and windows-1252", () => {
    expect(sniffDialect(golden('excel-german'), true)).toMatchObject({
      delimiter: ';',
      charset: 'windows-1252',
      lineEnding: 'mixed',
      header: true,
      skipLines: 0,
      quote: '"',
      escape: 'doubled',
      columns: [{ type: 'string' }, { type: 'string' }, { type: 'string' }, { type: 'string' }],
    });
  });

  it("proposes no line to skip for Excel's separator line alone, with a header or without", () => {
    expect(sniff('sep=;\r\n1;2\r\n3;4\r\n')).toMatchObject({ delimiter: ';', header: false, skipLines: 0 });
    expect(sniff('sep=;\r\nid;name\r\n3;Ann\r\n')).toMatchObject({ delimiter: ';', header: true, skipLines: 0 });
  });

  it('reads UTF-16 with a byte order mark and tabs', () => {
    expect(sniffDialect(golden('excel-unicode-text'), true)).toMatchObject({
      delimiter: '\t',
      charset: 'utf-16le',
      byteOrderMark: true,
      header: true,
      lineEnding: 'crlf',
    });
  });

  it('reads what MySQL writes to a file', () => {
    expect(sniffDialect(golden('mysql-outfile'), true)).toMatchObject({
      delimiter: '\t',
      quote: null,
      escape: 'backslash',
      header: false,
      nullWords: ['\\N'],
    });
  });

  it('reads carriage returns, damage and unquoted commas for what they are', () => {
    expect(sniffDialect(golden('old-macintosh'), true)).toMatchObject({ lineEnding: 'cr', delimiter: ',' });
    expect(sniffDialect(golden('exported-with-damage'), true)).toMatchObject({ delimiter: ',', header: true });
    expect(sniffDialect(golden('unquoted-commas'), true)).toMatchObject({ delimiter: ',', charset: 'utf-8' });
  });
});

describe('columns', () => {
  it('have the type all of their values share', () => {
    const { columns, decimalSeparator, dateFormats, nullWords } = sniff(
      'id;price;born;at;on;zip;note\n1;1,5;31.01.2020;2020-01-31 10:00;true;01067;NULL\n2;2;01.02.2020;2020-02-01T10:00:00Z;false;1;x\n',
    );
    expect(columns.map(({ type }) => type)).toEqual([
      'integer',
      'decimal',
      'date',
      'timestamp',
      'boolean',
      'string',
      'string',
    ]);
    expect({ decimalSeparator, dateFormats, nullWords }).toEqual({
      decimalSeparator: ',',
      dateFormats: ['DD.MM.YYYY', 'YYYY-MM-DD HH:MM:SS'],
      nullWords: ['NULL'],
    });
  });

  it('whose days and months cannot be told apart propose both orders', () => {
    expect(sniff('a,born\nx,01/02/2020\n').dateFormats).toEqual(['MM/DD/YYYY or DD/MM/YYYY']);
    expect(sniff('a,born\nx,31/02/2020\n').dateFormats).toEqual(['DD/MM/YYYY']);
  });
});

describe('the shape', () => {
  it.each([
    ['pipes', 'a|b|c\n1|2|3\n', '|'],
    ['colons', 'a:b:c\n1:2:3\n', ':'],
    ['semicolons around decimal commas', 'a;b\n1,5;2,5\n3,5;4,5\n', ';'],
    ['commas beside times', 'a,b\nx,10:30\ny,11:45\n', ','],
    ['delimiters inside quotes', 'a;b\n"x,y,z";1\n"p,q,r";2\n', ';'],
  ])('is found with %s', (_, text, delimiter) => expect(sniff(text).delimiter).toBe(delimiter));

  it('of rows without names has no header', () => {
    expect(sniff('1,ann@example.com\n2,bob@example.com\n').header).toBe(false);
    expect(sniff('red,x\nblue,y\nred,z\n').header).toBe(false);
    expect(sniff('id,email\n2,bob@example.com\n').header).toBe(true);
  });

  it('leaves titles above the header aside', () => {
    expect(sniff('Customers of May\n\nid,name\n1,Ann\n2,Bob\n')).toMatchObject({ skipLines: 2, header: true });
  });

  it('knows backslashes before quotes', () => {
    expect(sniff('a,b\n"say \\"x\\" now",1\n').escape).toBe('backslash');
    expect(sniff("a,b\n'x, y','1'\n'z','2'\n").quote).toBe("'");
  });

  it('is judged without the last line of a head that was cut', () => {
    expect(sniffDialect(Buffer.from('a,b\n1,2\n3,"4'), false).columns.map(({ type }) => type)).toEqual([
      'integer',
      'integer',
    ]);
  });

  it('of nothing is a table without columns', () => {
    expect(sniff('')).toMatchObject({ delimiter: ',', columns: [], header: true });
  });

  it('of UTF-16 without a mark is still found', () => {
    expect(sniff('id,name\n1,Ann\n', 'utf16le').charset).toBe('utf-16le');
    expect(sniffDialect(Buffer.from('id,name\n1,Ann\n', 'utf16le').swap16(), true).charset).toBe('utf-16be');
  });
});

it('tells gzip and zip by content', () => {
  expect(sniffWrapping(gzipSync('a,b'))).toBe('gzip');
  expect(sniffWrapping(Buffer.from('PK\x03\x04rest', 'latin1'))).toBe('zip');
  expect(sniffWrapping(Buffer.from('id,name\n'))).toBeUndefined();
});

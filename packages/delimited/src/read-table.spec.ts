import { Readable } from 'node:stream';
import { InputError } from '@millrace/domain';
import { dialectOf, inShort, readAll } from '../test/read-all.js';
import { interpretField, readTable } from './index.js';

describe('reading rows', () => {
  it('gives the header and the rows with their physical lines', async () => {
    const table = await readAll('id,name\n1,Ann\n2,Bob\n');
    expect(table.header).toEqual(['id', 'name']);
    expect(inShort(table.rows)).toEqual([
      [2, '1', 'Ann'],
      [3, '2', 'Bob'],
    ]);
  });

  it('reads the last row without a line break', async () => {
    expect(inShort((await readAll('a,b\n1,2')).rows)).toEqual([[2, '1', '2']]);
    expect(inShort((await readAll('a,b\n1,')).rows)).toEqual([[2, '1', '']]);
    expect(inShort((await readAll('a,b\n1,"2"')).rows)).toEqual([[2, '1', '2']]);
  });

  it('takes LF, CRLF and CR mixed as line breaks and counts each once', async () => {
    const { rows } = await readAll('a,b\r\n1,2\r3,4\n5,6\r\n7,"x\r\ny\rz"\r9,10');
    expect(inShort(rows)).toEqual([
      [2, '1', '2'],
      [3, '3', '4'],
      [4, '5', '6'],
      [5, '7', 'x\r\ny\rz'],
      [8, '9', '10'],
    ]);
  });

  it('unescapes doubled quotes', async () => {
    expect(inShort((await readAll('a,b\n"say ""hi""",""""\n')).rows)).toEqual([[2, 'say "hi"', '"']]);
  });

  it('unescapes backslashes before quotes and backslashes only', async () => {
    const { rows } = await readAll('a,b\n"say \\"hi\\" \\\\ C:\\temp",\\N\n', { escape: 'backslash' });
    expect(inShort(rows)).toEqual([[2, 'say "hi" \\ C:\\temp', '\\N']]);
  });

  it('takes quotes literally where the dialect has none', async () => {
    expect(inShort((await readAll('a,b\n"1",5" pipe\n', { quote: null })).rows)).toEqual([[2, '"1"', '5" pipe']]);
  });

  it('takes a quote behind a backslash for itself where nothing is quoted', async () => {
    const { rows } = await readAll('a|b\n\\"x\\"|it\\\'s \\d\n', { delimiter: '|', quote: null, escape: 'backslash' });
    expect(inShort(rows)).toEqual([[2, '"x"', "it's \\d"]]);
  });

  it('reads the backslash text form of PostgreSQL and MySQL', async () => {
    const { rows } = await readAll('a\tb\tc\nx\\ty\\\\z\t\\N\tl1\\\nl2\n\\\\N\tq\\\tr\tC:\\qtemp\n', {
      quote: null,
      escape: 'backslash',
      delimiter: '\t',
      nullWords: ['\\N'],
    });
    expect(inShort(rows)).toEqual([
      [2, 'x\ty\\z', '\\N', 'l1\nl2'],
      [4, '\\N', 'q\tr', 'C:\\qtemp'],
    ]);
    const [first, second] = rows;
    if (first?.kind !== 'row' || second?.kind !== 'row') throw new Error('rows expected');
    expect(first.quoted).toBeUndefined();
    expect(second.quoted?.[0]).toBe(1);
  });

  it('takes a quote inside an unquoted field literally', async () => {
    expect(inShort((await readAll('a,b\n5" pipe,x"y"z\n')).rows)).toEqual([[2, '5" pipe', 'x"y"z']]);
  });

  it('trims what stands outside quotes, and the space around them', async () => {
    const { rows } = await readAll('a,b,c\n  x y , "  q " ,\tz\n', { trim: true });
    expect(inShort(rows)).toEqual([[2, 'x y', '  q ', 'z']]);
  });

  it('passes over empty lines, but takes them as empty fields in a file of one column', async () => {
    expect(inShort((await readAll('\n\na,b\n\n1,2\n\n\n3,4\n\n')).rows)).toEqual([
      [5, '1', '2'],
      [8, '3', '4'],
    ]);
    expect(inShort((await readAll('a\n1\n\n3\n')).rows)).toEqual([
      [2, '1'],
      [3, ''],
      [4, '3'],
    ]);
    expect(inShort((await readAll('\n\n1\n\n', { header: false })).rows)).toEqual([
      [1, ''],
      [2, ''],
      [3, '1'],
      [4, ''],
    ]);
  });

  it('reads files without header, their width set by the first row', async () => {
    const table = await readAll('1,2\n3\n4,5\n', { header: false });
    expect(table.header).toBeUndefined();
    expect(table.columns).toBe(2);
    expect(inShort(table.rows)).toEqual([[1, '1', '2'], '2 too-few-fields', [3, '4', '5']]);
    expect(await readAll('', { header: false })).toMatchObject({ columns: 0, rows: [] });
  });

  it('skips lines before the header and still counts them', async () => {
    const table = await readAll('Report "of\n\nid,x\n1,2\n', { skipLines: 2 });
    expect(table.header).toEqual(['id', 'x']);
    expect(inShort(table.rows)).toEqual([[4, '1', '2']]);
  });

  it('keeps __proto__ as a column like any other', async () => {
    const table = await readAll('__proto__,constructor\n1,2\n');
    expect(table.header).toEqual(['__proto__', 'constructor']);
    expect(inShort(table.rows)).toEqual([[2, '1', '2']]);
  });

  it('names the columns that stand twice in the header', async () => {
    expect((await readAll('id,mail,id,mail,mail\n')).duplicates).toEqual(['id', 'mail']);
  });

  it('says how many bytes it has taken from the source', async () => {
    const table = await readTable(Readable.from([Buffer.from('a\n'), Buffer.from('1\n')]), dialectOf());
    let bytesRead = 0;
    for await (const batch of table.batches) bytesRead = batch.bytesRead;
    expect(bytesRead).toBe(4);
  });

  it('hands out at most 1000 rows at once', async () => {
    const table = await readTable(Readable.from([Buffer.from(`a\n${'1\n'.repeat(2500)}`)]), dialectOf());
    const sizes: number[] = [];
    for await (const batch of table.batches) sizes.push(batch.rows.length);
    expect(sizes).toEqual([1000, 1000, 500]);
  });
});

describe('what a field says', () => {
  it('tells absent, empty, quoted empty, null word and text apart', async () => {
    const dialect = dialectOf({ nullWords: ['NULL'], shortRows: 'pad' });
    const { rows } = await readAll('a,b,c,d,e\n,"",NULL,"NULL"\n', dialect);
    const [row] = rows;
    if (row?.kind !== 'row') throw new Error('a row expected');
    const values = [0, 1, 2, 3, 4].map((index) =>
      interpretField(row.fields[index], row.quoted?.[index] === 1, dialect),
    );
    expect(values).toEqual([
      { kind: 'empty' },
      { kind: 'empty-quoted' },
      { kind: 'null-word' },
      { kind: 'text', text: 'NULL' },
      { kind: 'absent' },
    ]);
  });

  it('leaves the marks out where quotes change nothing', async () => {
    const { rows } = await readAll('a,b\n"x","y"\n');
    expect(rows[0]).toMatchObject({ quoted: undefined });
  });
});

describe('rows of the wrong length', () => {
  const file = 'a,b,c\n1,2\n1,2,3,4\n1,2,3\n';

  it('are rejected unless the dialect lets them pass', async () => {
    const { rows } = await readAll(file);
    expect(inShort(rows)).toEqual(['2 too-few-fields', '3 too-many-fields', [4, '1', '2', '3']]);
    expect(rows[0]).toMatchObject({ raw: '1,2', message: 'the row has 2 fields, the file has 3 columns' });
  });

  it('stay short, so that what is absent is not taken for empty', async () => {
    const { rows } = await readAll(file, { shortRows: 'pad', longRows: 'cut' });
    expect(inShort(rows)).toEqual([
      [2, '1', '2'],
      [3, '1', '2', '3'],
      [4, '1', '2', '3'],
    ]);
  });
});

describe('broken quotes', () => {
  it('cost one row when a quote is never closed at the start of the file', async () => {
    const rest = Array.from({ length: 5000 }, (_, index) => `${index},"n ${index}",x\n`).join('');
    const { rows } = await readAll(`a,b,c\n0,"open,x\n${rest}`);
    expect(rows[0]).toMatchObject({ kind: 'bad', line: 2, code: 'stray-quote' });
    expect(rows.length).toBe(5001);
    expect(rows.slice(1).every((row) => row.kind === 'row')).toBe(true);
    expect(rows[5000]).toMatchObject({ line: 5002, fields: ['4999', 'n 4999', 'x'] });
  });

  it('cost one row when no other quote follows', async () => {
    const { rows } = await readAll('a,b\n"open,x\n1,2\n3,4\n');
    expect(inShort(rows)).toEqual(['2 unclosed-quote 1', [3, '1', '2'], [4, '3', '4']]);
  });

  it('cost one row when the quote is never closed within the limit of a row', async () => {
    const rest = '1,""\n'.repeat(200);
    const { rows } = await readAll(`a,b\n"open,x\n${rest}`, { maxRecordBytes: 100 });
    expect(rows[0]).toMatchObject({ line: 2, code: 'unclosed-quote', column: 1, raw: '"open,x' });
    expect(rows.slice(1).filter((row) => row.kind === 'row').length).toBe(200);
  });

  it('cost one row when the open quote is closed by a later row and the count is wrong', async () => {
    const { rows } = await readAll('a,b,c\n1,"open,x\n2,y,z\n3,y,"\n4,y,z\n');
    expect(inShort(rows)).toEqual(['2 too-few-fields', [3, '2', 'y', 'z'], '4 unclosed-quote 3', [5, '4', 'y', 'z']]);
  });

  it('do not let the inside of a quoted text pass as rows', async () => {
    const { rows } = await readAll('a,b\n1,"note: "bad\nline two\nend",x\n2,fine\n3,"fine"\n');
    expect(rows.filter((row) => row.kind === 'row').map((row) => row.line)).toEqual([5, 6]);
  });

  it('reject a whole record of several lines when only its count is wrong', async () => {
    const { rows } = await readAll('a,b,c\n1,"two\nlines"\n4,5,6\n');
    expect(inShort(rows)).toEqual(['2 too-few-fields', [4, '4', '5', '6']]);
  });

  it('are told with the field they stand in, and what was read', async () => {
    const { rows } = await readAll('a,b,c\n1,"x"y,z\n');
    expect(rows[0]).toMatchObject({ line: 2, column: 2, code: 'stray-quote', raw: '1,"x"y,z' });
  });
});

describe('oversized, binary and undecodable rows', () => {
  it('rejects a line above the limit and goes on after it', async () => {
    const { rows } = await readAll(`a,b\n1,${'x'.repeat(3000)}\n3,4\n`, { maxRecordBytes: 1024 }, { pieceBytes: 100 });
    expect(inShort(rows)).toEqual(['2 too-long 2', [3, '3', '4']]);
  });

  it('keeps at most 4096 characters of a rejected row', async () => {
    const { rows } = await readAll(`a,b\n${'x'.repeat(10_000)}\n`);
    expect(rows[0]).toMatchObject({ code: 'too-few-fields', raw: 'x'.repeat(4096) });
  });

  it('rejects a row with NUL', async () => {
    const { rows } = await readAll('a,b\n1,x\0y\n2,"\0"\n3,4\n');
    expect(inShort(rows)).toEqual(['2 nul 2', '3 nul 2', [4, '3', '4']]);
  });

  it('names the byte that is not UTF-8, and keeps a real U+FFFD', async () => {
    const file = Buffer.concat([
      Buffer.from('a,b\n1,\ufffd\n2,J'),
      Buffer.from([0xf6]),
      Buffer.from('rg\n3,Jörg\n4,'),
      Buffer.from([0xe2, 0x82]),
      Buffer.from('\n5,x\n'),
    ]);
    const { rows } = await readAll(file, {}, { pieceBytes: 16 });
    expect(inShort(rows)).toEqual([
      [2, '1', '\ufffd'],
      '3 bad-charset 2',
      [4, '3', 'Jörg'],
      '5 bad-charset 2',
      [6, '5', 'x'],
    ]);
    expect(rows[1]).toMatchObject({ message: 'field 2 holds byte F6 at offset 13 of the file, which is not utf-8' });
    expect(file[13]).toBe(0xf6);
  });
});

describe('opening a file', () => {
  const code = async (file: string | Buffer, options = {}): Promise<string> => {
    try {
      await readAll(file, options);
    } catch (error) {
      if (error instanceof InputError) return error.code;
      throw error;
    }
    return 'opened';
  };

  it('refuses an empty file where a header is expected', async () => {
    expect(await code('')).toBe('empty-file');
    expect(await code('\n\n')).toBe('empty-file');
    expect(await code('x\n', { skipLines: 5 })).toBe('empty-file');
  });

  it('refuses a header that cannot be read', async () => {
    expect(await code('a,"b\n1,2\n')).toBe('header-unreadable');
    expect(await code(Buffer.from('a,b\n1,2\n', 'utf16le'))).toBe('header-unreadable');
  });

  it('gives up a file without header of which nothing can be read', async () => {
    expect(await code('"x"y\n'.repeat(2000), { header: false })).toBe('no-readable-row');
  });

  it('says what a file is that is not text', async () => {
    expect(await code(Buffer.from('504b030414000600', 'hex'))).toBe('not-delimited-text');
    expect(await code(Buffer.from('1f8b0800000000000003', 'hex'))).toBe('not-delimited-text');
    expect(await code('-----BEGIN PGP MESSAGE-----\n')).toBe('not-delimited-text');
  });

  it("takes Excel's separator line when it agrees and says so when it does not", async () => {
    const table = await readAll('sep=;\r\na;b\r\n1;2\r\n', { delimiter: ';' });
    expect(table.header).toEqual(['a', 'b']);
    expect(inShort(table.rows)).toEqual([[3, '1', '2']]);
    expect(await code('sep=;\r\na;b\r\n1;2\r\n')).toBe('delimiter-differs');
  });

  it("takes Excel's separator line in a file without header, and a row of one field that only looks like it for a row", async () => {
    const plain = { header: false, delimiter: ';' } as const;
    const table = await readAll('\ufeffsep=;\r\n1;2\r\n', plain);
    expect(inShort(table.rows)).toEqual([[2, '1', '2']]);
    expect(inShort((await readAll('sep=;\n\n1\n', plain)).rows)).toEqual([
      [2, ''],
      [3, '1'],
    ]);
    expect(await code('sep=,\n1;2\n', plain)).toBe('delimiter-differs');
    expect(inShort((await readAll('sep=,\n"1;2"\n', plain)).rows)).toEqual([
      [1, 'sep=,'],
      [2, '1;2'],
    ]);
    expect(inShort((await readAll('"sep=;"\n1\n', plain)).rows)).toEqual([
      [1, 'sep=;'],
      [2, '1'],
    ]);
  });

  it("ends with the source's error and closes the source when the loop is left", async () => {
    const failing = new Readable({ read() {} });
    failing.push('a,b\n1,2\n');
    queueMicrotask(() => failing.destroy(new Error('connection reset')));
    await expect(readTable(failing, dialectOf())).rejects.toThrow('connection reset');

    const endless = new Readable({
      read() {
        this.push('1,2\n'.repeat(1000));
      },
    });
    const table = await readTable(endless, dialectOf());
    for await (const batch of table.batches) {
      expect(batch.rows.length).toBeGreaterThan(0);
      break;
    }
    expect(endless.destroyed).toBe(true);
  });

  it('stops when its signal is aborted', async () => {
    const controller = new AbortController();
    const silent = new Readable({ read() {} });
    const opened = readTable(silent, dialectOf(), { signal: controller.signal });
    controller.abort(new Error('cancelled'));
    await expect(opened).rejects.toThrow('cancelled');
    expect(silent.destroyed).toBe(true);
  });
});

describe('charsets', () => {
  const text = 'näme,€\nJörg,“x”\n';

  it.each([
    ['utf-8', Buffer.from(text)],
    ['utf-16le', Buffer.from(text, 'utf16le')],
    ['utf-16be', Buffer.from(text, 'utf16le').swap16()],
  ] as const)('reads %s, cut anywhere', async (charset, file) => {
    for (const pieceBytes of [16, 17, 18, 19]) {
      const table = await readAll(file, { charset }, { pieceBytes });
      expect([table.header, ...inShort(table.rows)]).toEqual([
        ['näme', '€'],
        [2, 'Jörg', '“x”'],
      ]);
    }
  });

  it('lets a byte order mark win over the declared charset', async () => {
    for (const file of [
      Buffer.from(`\ufeff${text}`),
      Buffer.from(`\ufeff${text}`, 'utf16le'),
      Buffer.from(`\ufeff${text}`, 'utf16le').swap16(),
    ]) {
      expect((await readAll(file, { charset: 'iso-8859-1' })).header).toEqual(['näme', '€']);
    }
  });

  it('reads Windows-1252 and rejects the bytes it leaves undefined', async () => {
    const file = Buffer.from([0x61, 0x0a, 0x80, 0x93, 0xe9, 0x0a, 0x81, 0x0a]);
    expect(inShort((await readAll(file, { charset: 'windows-1252' })).rows)).toEqual([[2, '€“é'], '3 bad-charset 1']);
    expect(inShort((await readAll(file, { charset: 'iso-8859-1' })).rows)).toEqual([
      [2, '\x80\x93é'],
      [3, '\x81'],
    ]);
  });

  it('rejects half a surrogate pair and half a UTF-16 unit', async () => {
    const file = Buffer.concat([Buffer.from('a\nx\ud83dy\nz\u{1f600}\nlast', 'utf16le'), Buffer.from([0x41])]);
    const { rows } = await readAll(file, { charset: 'utf-16le' }, { pieceBytes: 16 });
    expect(inShort(rows)).toEqual(['2 bad-charset 1', [3, 'z\u{1f600}'], '4 bad-charset 1']);
  });
});

import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { FormatRows, parseCopyLine } from './format-rows.js';

describe('parseCopyLine', () => {
  it('tells no value from empty and from the letters that mean none', () => {
    expect(parseCopyLine('\\N\t\t\\\\N\tN')).toEqual([null, '', '\\N', 'N']);
  });

  it('undoes every escape the server writes', () => {
    expect(parseCopyLine('a\\tb\\nc\\rd\\\\e\\bf\\fg\\vh')).toEqual(['a\tb\nc\rd\\e\bf\fg\vh']);
  });
});

describe('FormatRows', () => {
  const format = (fields: readonly (string | null)[]): string => `${fields.map((field) => field ?? '-').join('|')}\n`;

  it('puts rows together that arrive in pieces, in the middle of a character too', async () => {
    const bytes = Buffer.from('Malmö\t1\nGöteborg\t\\N\n');
    const single = Array.from(bytes, (byte) => Buffer.of(byte));
    expect(await text(Readable.from(single).pipe(new FormatRows(format)))).toBe('Malmö|1\nGöteborg|-\n');
    expect(await text(Readable.from([bytes]).pipe(new FormatRows(format)))).toBe('Malmö|1\nGöteborg|-\n');
  });

  it('fails on a row that does not end', async () => {
    await expect(pipeline(Readable.from([Buffer.from('a\tb')]), new FormatRows(format), text)).rejects.toThrow(
      /middle of a row/,
    );
  });
});

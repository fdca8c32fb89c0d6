import type { CopiedRows } from '@millrace/database';
import fc from 'fast-check';
import { FileCutter, type FileLimits } from './cut-files.js';

fc.configureGlobal({ seed: Number(process.env['MILLRACE_TEST_SEED'] ?? 1) });

async function* inChunks(rows: readonly string[], perChunk: number): AsyncGenerator<CopiedRows> {
  for (let at = 0; at < rows.length; at += perChunk) {
    const ends: number[] = [];
    let end = 0;
    const some = rows.slice(at, at + perChunk);
    for (const row of some) ends.push((end += Buffer.byteLength(row)));
    yield { bytes: Buffer.from(some.join('')), ends };
  }
}

interface Cut {
  readonly rows: number;
  readonly text: string;
}

const cut = async (
  rows: readonly string[],
  limits: FileLimits | undefined,
  {
    header = '',
    charset = 'utf-8',
    perChunk = 3,
  }: { header?: string; charset?: 'utf-8' | 'utf-16le'; perChunk?: number } = {},
): Promise<readonly Cut[]> => {
  const cutter = new FileCutter(inChunks(rows, perChunk), limits, Buffer.from(header), charset);
  const files: Cut[] = [];
  for (let file = await cutter.next(); file !== undefined; file = await cutter.next()) {
    const pieces: Buffer[] = [];
    for await (const piece of file.body()) pieces.push(piece);
    files.push({ rows: file.rows, text: Buffer.concat(pieces).toString() });
  }
  return files;
};

describe('FileCutter', () => {
  it('makes one file without limits, and one of nothing too', async () => {
    expect(await cut(['a\n', 'b\n'], undefined, { header: 'h\n' })).toEqual([{ rows: 2, text: 'h\na\nb\n' }]);
    expect(await cut([], undefined, { header: 'h\n' })).toEqual([{ rows: 0, text: 'h\n' }]);
  });

  it('makes no file of nothing behind a full one', async () => {
    expect(await cut(['a\n', 'b\n'], { rows: 2, bytes: undefined })).toEqual([{ rows: 2, text: 'a\nb\n' }]);
  });

  it('gives a row that is too large a file of its own', async () => {
    const files = await cut(['a\n', 'much too long\n', 'b\n'], { rows: 10, bytes: 6 }, { header: 'h\n' });
    expect(files.map(({ text }) => text)).toEqual(['h\na\n', 'h\nmuch too long\n', 'h\nb\n']);
  });

  it('counts bytes as the charset has them', async () => {
    const rows = ['ab\n', 'cd\n', 'ef\n'];
    expect((await cut(rows, { rows: 10, bytes: 9 })).length).toBe(1);
    // Two bytes for each character, and two for the mark.
    expect((await cut(rows, { rows: 10, bytes: 14 }, { charset: 'utf-16le' })).map((file) => file.rows)).toEqual([
      2, 1,
    ]);
  });

  it('keeps every row once, in order, within the limits, however they come', async () => {
    const row = fc.string({ maxLength: 12 }).map((text) => `${text.replaceAll('\n', '')}é\n`);
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
        fc.integer({ min: 1, max: 70 }),
        async (rows, maxRows, bytes, perChunk) => {
          const files = await cut(rows, { rows: maxRows, bytes }, { header: 'head\n', perChunk });
          expect(files.map(({ text }) => text.slice('head\n'.length)).join('')).toBe(rows.join(''));
          for (const file of files) {
            expect(file.rows).toBeLessThanOrEqual(maxRows);
            // A row alone may be of any size.
            expect(file.rows <= 1 || Buffer.byteLength(file.text) <= (bytes ?? Infinity)).toBe(true);
            expect(file.rows > 0 || files.length === 1).toBe(true);
          }
          // No file could have taken the row behind it.
          files.slice(0, -1).forEach((file, index) => {
            const next = files[index + 1]?.text.slice('head\n'.length).split('\n')[0] ?? '';
            const grown = Buffer.byteLength(`${file.text}${next}\n`);
            expect(file.rows === maxRows || (bytes !== undefined && grown > bytes)).toBe(true);
          });
        },
      ),
      { numRuns: 500 },
    );
  });
});

import { Readable } from 'node:stream';
import { dirtyColumns, dirtyFiles, type DirtyFile } from '../src/dirty-files.js';
import { decompress, readTable, type ParsedRow } from '../src/index.js';
import { dialectOf } from './read-all.js';

const files = dirtyFiles();

/** Reads a file cut into chunks of a size, compressed or not; everything that came, or the code it was refused with. */
async function read(file: DirtyFile, chunkBytes: number): Promise<ParsedRow[] | string> {
  const bytes = file.content();
  const chunks = function* (): Generator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  };
  const source = Readable.from(chunks(), { objectMode: false });
  try {
    const table = await readTable(decompress(source, { maxOutputBytes: 1e9 }), dialectOf(file.dialect));
    expect(table.header).toEqual(dirtyColumns);
    const rows: ParsedRow[] = [];
    for await (const batch of table.batches) rows.push(...batch.rows);
    return rows;
  } catch (error) {
    return (error as { readonly code?: string }).code ?? String(error);
  }
}

interface Judged {
  readonly good: readonly (readonly unknown[])[];
  readonly bad: readonly (readonly unknown[])[];
}

/** What came in the terms of what was expected: lines that a fault has broken off may be rejected as well. */
function judged({ expected }: DirtyFile, came: ParsedRow[] | string): Judged | string {
  if (typeof came === 'string') return came;
  const lost = 'refused' in expected ? new Set<number>() : expected.lost;
  return {
    good: came.flatMap((row) => (row.kind === 'row' ? [[row.line, ...row.fields]] : [])),
    bad: came.flatMap((row) => (row.kind === 'bad' && !lost.has(row.line) ? [[row.line, row.code]] : [])),
  };
}

function wanted({ expected }: DirtyFile): Judged | string {
  if ('refused' in expected) return expected.refused;
  return { good: [...expected.good].map(([line, fields]) => [line, ...fields]), bad: [...expected.bad] };
}

describe('a dirty file', () => {
  it('comes in at least 200 kinds', () => {
    expect(files.length).toBeGreaterThanOrEqual(200);
    expect(new Set(files.map(({ name }) => name)).size).toBe(files.length);
  });

  it.each(files.map((file) => [file.name, file] as const))('costs its bad row and no other: %s', async (_, file) => {
    expect(judged(file, await read(file, 64 * 1024))).toEqual(wanted(file));
  });

  it.each([
    [1, 4_000],
    [7, 20_000],
    [1000, 1_000_000],
  ])('comes to the same in chunks of %i bytes', async (chunkBytes, largest) => {
    const short = files.filter((file) => !file.name.includes('50 MB') && file.content().length <= largest);
    expect(short.length).toBeGreaterThan(190);
    for (const file of short)
      expect([file.name, judged(file, await read(file, chunkBytes))]).toEqual([file.name, wanted(file)]);
  });
});

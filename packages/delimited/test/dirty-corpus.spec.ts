import fc from 'fast-check';
import { dirtyCorpus } from './dirty-corpus.js';
import { readAll } from './read-all.js';

// The same cases in every run; another seed tries others.
fc.configureGlobal({ seed: Number(process.env['MILLRACE_TEST_SEED'] ?? 1) });

describe('a file with every kind of damage', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('loses the damaged rows and no other (seed %i)', async (seed) => {
    const corpus = dirtyCorpus(seed, 3000);
    const { rows } = await readAll(corpus.file, { maxRecordBytes: 4096 });

    const read = new Map(rows.filter((row) => row.kind === 'row').map((row) => [row.line, row.fields]));
    const rejected = new Map(rows.filter((row) => row.kind === 'bad').map((row) => [row.line, row.code]));
    const lost = [...corpus.good].filter(([line, fields]) => JSON.stringify(read.get(line)) !== JSON.stringify(fields));
    expect(lost).toEqual([]);
    const misjudged = [...corpus.bad].filter(([line, code]) => rejected.get(line) !== code);
    expect(misjudged).toEqual([]);
    expect([...read.keys()].filter((line) => !corpus.good.has(line))).toEqual([]);
    expect([...rejected.keys()].filter((line) => !corpus.bad.has(line) && !corpus.lost.has(line))).toEqual([]);
    expect(corpus.bad.size).toBeGreaterThan(300);
  });
});

describe('what is read', () => {
  const nasty = fc.array(
    fc.constantFrom(
      '"',
      '"',
      ',',
      ',',
      '\n',
      '\r',
      '\r\n',
      'a',
      'bc',
      '""',
      '\\',
      '\\"',
      ' ',
      '\0',
      'é',
      '€',
      'NULL',
      '",',
      ',"',
      '"\n',
    ),
    { maxLength: 120 },
  );

  const rounds = Number(process.env['MILLRACE_FUZZ_ROUNDS'] ?? 2000);

  it('does not depend on how the file is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        nasty,
        fc.record({
          header: fc.boolean(),
          quote: fc.constantFrom('"', null),
          escape: fc.constantFrom('doubled' as const, 'backslash' as const),
          trim: fc.boolean(),
          shortRows: fc.constantFrom('reject' as const, 'pad' as const),
          longRows: fc.constantFrom('reject' as const, 'cut' as const),
          maxRecordBytes: fc.constantFrom(12, 30, 1024),
          nullWords: fc.constantFrom<string[]>([], ['NULL', '\\N']),
        }),
        fc.integer({ min: 16, max: 40 }),
        async (parts, dialect, pieceBytes) => {
          const file = `h1,h2,h3\n${parts.join('')}`;
          const whole = await readAll(file, dialect);
          const inPieces = await readAll(file, dialect, { pieceBytes });
          expect(inPieces).toEqual(whole);
          const lines = whole.rows.map((row) => row.line);
          expect(lines).toEqual([...new Set(lines)].sort((one, other) => one - other));
        },
      ),
      { numRuns: rounds },
    );
  });

  it('has the physical lines on which the rows really stand', async () => {
    await fc.assert(
      fc.asyncProperty(nasty, fc.integer({ min: 16, max: 40 }), async (parts, pieceBytes) => {
        const file = `h1,h2\n${parts.join('')}`;
        const physical = file.split(/\r\n|\r|\n/);
        const { rows } = await readAll(file, { longRows: 'cut', shortRows: 'pad' }, { pieceBytes });
        for (const row of rows) {
          const line = physical[row.line - 1] ?? '';
          const first = row.kind === 'bad' ? row.raw : (row.fields[0] ?? '');
          const begin = /^[^"\r\n,]*/.exec(first)?.[0] ?? '';
          expect(line.replace(/^"/, '').startsWith(begin)).toBe(true);
        }
      }),
      { numRuns: rounds },
    );
  });
});

import { readFileSync } from 'node:fs';
import { Database, migrate, sql, type Sql } from '@millrace/database';
import { copyOptions } from '@millrace/delimited';
import { type CsvDialect, csvDialect, InputError } from '@millrace/domain';
import { createTestDatabase, type TestDatabase } from '@millrace/testing';
import fc from 'fast-check';
import { copyStatement } from '../src/write-part/copy-statement.js';
import { plainRows } from '../src/write-part/write-rows.js';

type Row = readonly (string | null)[];

interface Golden {
  readonly rows: readonly Row[];
  readonly files: readonly {
    readonly name: string;
    readonly csv: object;
    readonly byCopy: boolean;
    readonly text: string;
  }[];
}

const golden = JSON.parse(readFileSync(new URL('fixtures/golden-files.json', import.meta.url), 'utf8')) as Golden;
const seed = Number(process.env['MILLRACE_TEST_SEED'] ?? 1);

describe('rows that COPY writes and rows that this process writes', () => {
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testDatabase = await createTestDatabase('same_bytes', { migrate, sets: [] });
    database = new Database({ url: testDatabase.url, applicationName: 'test', maxConnections: 2 });
  });

  afterAll(async () => {
    await database.end();
    await testDatabase.drop();
  });

  const query = (rows: readonly Row[]): Sql =>
    sql`SELECT r->>0, r->>1, r->>2 FROM jsonb_array_elements(${sql.literal(JSON.stringify(rows))}::jsonb) WITH ORDINALITY AS e(r, place) ORDER BY place`;

  const copied = async (statement: Sql, write = (bytes: Buffer): Buffer => bytes): Promise<string> =>
    await database.transaction(async (tx) => {
      const pieces: Buffer[] = [];
      for await (const { bytes } of tx.copyOut(statement)) pieces.push(write(bytes));
      return Buffer.concat(pieces).toString();
    });

  const byCopy = async (rows: readonly Row[], dialect: CsvDialect): Promise<string> =>
    copied(copyStatement(query(rows), copyOptions(dialect)));

  const byHand = async (rows: readonly Row[], dialect: CsvDialect): Promise<string> => {
    const writer = plainRows(dialect);
    return copied(copyStatement(query(rows), undefined), (bytes) => writer.write({ bytes, ends: [] }).bytes);
  };

  it.each(golden.files)('stand as in the golden file: $name', async ({ csv, byCopy: possible, text }) => {
    const dialect = csvDialect.parse(csv);
    expect(copyOptions(dialect) !== undefined).toBe(possible);
    expect(await byHand(golden.rows, dialect)).toBe(text);
    expect(possible ? await byCopy(golden.rows, dialect) : text).toBe(text);
  });

  it('are the same bytes in every dialect that both can write', async () => {
    const text = fc.oneof(
      fc
        .array(
          fc.constantFrom(
            '"',
            "'",
            ',',
            ';',
            '\t',
            '|',
            '\\',
            '\n',
            '\r',
            '.',
            ' ',
            'N',
            'x',
            'é',
            '€',
            '😀',
            '$',
            '^',
          ),
          {
            maxLength: 6,
          },
        )
        .map((parts) => parts.join('')),
      fc.constantFrom('', 'NULL', '\\N', '\\.', 'a b', 'sep=;', '\ufeffx'),
    );
    const dialects = fc
      .record({
        delimiter: fc.constantFrom(',', ';', '\t', '|', ':', '^', '$', ' ', '.'),
        quote: fc.constantFrom('"', '"', "'", '|', '$', 'q', null),
        escape: fc.constantFrom('doubled', 'backslash'),
        quotePolicy: fc.constantFrom('needed', 'all'),
        nullText: fc.constantFrom('', 'NULL', '\\N', 'a b'),
        nullWords: fc.constantFrom<string[]>([], ['NULL'], ['\\N']),
        trim: fc.boolean(),
      })
      .filter(({ delimiter, quote }) => delimiter !== quote)
      .map((options) => csvDialect.parse(options));
    const row = fc.tuple(...[1, 2, 3].map(() => fc.option(text, { nil: null })));
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(dialects, fc.array(row, { minLength: 1, maxLength: 30 }), async (dialect, rows) => {
        let hand: string;
        try {
          if (copyOptions(dialect) === undefined) return;
          hand = await byHand(rows, dialect);
        } catch (error) {
          // What no reader could tell apart is refused before COPY is asked.
          if (error instanceof InputError) return;
          throw error;
        }
        compared += 1;
        expect(await byCopy(rows, dialect)).toBe(hand);
      }),
      { numRuns: 400, seed },
    );
    expect(compared).toBeGreaterThan(100);
  });
});

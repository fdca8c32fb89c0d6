import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { sql } from '@millrace/database';
import { copyOptions, readTable } from '@millrace/delimited';
import { type CsvDialect, csvDialect, importProfilesGoal } from '@millrace/domain';
import { ColumnIndex, compileImportRow } from '@millrace/mapping';
import { createNamespace, createProperty, loadCatalogue } from '@millrace/profile-store';
import papaparse from 'papaparse';
import { ExportFixture } from './export-fixture.js';

const seed = Number(process.env['MILLRACE_TEST_SEED'] ?? 1);
const python = findPython();
if (python === undefined) process.stderr.write("Skipping what Python's csv reads: there is no python3 on the PATH\n");

const text = fc
  .array(
    fc.oneof(
      fc.constantFrom('"', "'", ',', ';', '\t', '|', '\\', '\n', '\r', '\r\n', ' ', '=', '-', '[', ']', 'a', 'é', 'ß'),
      fc.constantFrom('NULL', '\\N', '\\.', "'=1+1", '=1+1', '+49 30', '-5', 'sep=;'),
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => parts.join(''));
const decimal = fc
  .tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.integer({ min: 0, max: 10 }))
  .map(([digits, places]) => {
    const whole = (digits < 0n ? -digits : digits).toString().padStart(places + 1, '0');
    const cut = whole.length - places;
    return `${digits < 0n ? '-' : ''}${whole.slice(0, cut)}${places === 0 ? '' : `.${whole.slice(cut)}`}`;
  });
const day = fc.date({
  min: new Date('0001-01-01T00:00:00Z'),
  max: new Date('9999-12-31T00:00:00Z'),
  noInvalidDate: true,
});
const instant = fc.date({
  min: new Date('1950-01-01T00:00:00Z'),
  max: new Date('2050-01-01T00:00:00Z'),
  noInvalidDate: true,
});
/** JSON text of each property, numbers with every digit. */
const person = fc
  .record(
    {
      'person.name': text.map((value) => JSON.stringify(value)),
      points: fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map(String),
      spent: decimal,
      active: fc.boolean().map(String),
      birthday: day.map((date) => JSON.stringify(date.toISOString().slice(0, 10))),
      seen: instant.map((date) => JSON.stringify(date.toISOString())),
      tags: fc.array(text, { minLength: 1, maxLength: 6 }).map((values) => JSON.stringify(values)),
      prices: fc.array(decimal, { minLength: 1, maxLength: 6 }).map((values) => `[${values.join(',')}]`),
    },
    { requiredKeys: [] },
  )
  .map((values) =>
    Object.entries(values)
      .map(([name, json]) => `${JSON.stringify(name)}:${json}`)
      .join(','),
  );

const columns = ['email', 'person.name', 'points', 'spent', 'active', 'birthday', 'seen', 'tags', 'prices'];

/** Each option at least once; the ones other programs can be told of are tried with these. */
const dialects: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['as it is', {}],
  ['semicolons, all quoted, CRLF', { delimiter: ';', quotePolicy: 'all', lineEnding: 'crlf' }],
  ['tabs and a null word', { delimiter: '\t', nullText: 'NULL', nullWords: ['NULL'] }],
  ['pipes, apostrophes, UTF-8 with mark', { delimiter: '|', quote: "'", charset: 'utf-8-bom' }],
  ['backslashes, all quoted', { escape: 'backslash', quotePolicy: 'all' }],
  ['UTF-16LE', { charset: 'utf-16le' }],
  ['UTF-16BE, CRLF', { charset: 'utf-16be', lineEnding: 'crlf' }],
  ['Windows-1252', { charset: 'windows-1252', delimiter: ';' }],
  ['ISO-8859-1', { charset: 'iso-8859-1', nullText: '\\N', nullWords: ['\\N'] }],
  ['guarded formulas', { formulaGuard: true }],
  [
    'European values',
    {
      delimiter: ';',
      decimalSeparator: ',',
      trueWords: ['ja'],
      falseWords: ['nein'],
      datePattern: 'dd.MM.yyyy',
      timestampPattern: "d.M.yyyy 'um' H:mm:ss.SSS XXX",
      timeZone: 'Europe/Berlin',
      list: { separator: ',', open: '[', close: ']' },
    },
  ],
  ['lists in bars, another escape', { list: { separator: '||', open: '<', close: '>', escape: '^' } }],
  ['no header', { header: false }],
  ['COPY text', { quote: null, escape: 'backslash', delimiter: '\t', nullText: '\\N', nullWords: ['\\N'] }],
];

describe('an exported file', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('round_trip');
    await fixture.database.transaction((tx) =>
      createProperty(tx, fixture.workspaceId, {
        name: 'seen',
        type: 'timestamp',
        list: false,
        unique: false,
        labels: [],
      }),
    );
    await createNamespace(fixture.database, fixture.workspaceId, {
      code: 'mail',
      kind: 'email',
      normalisation: { trim: true, case: 'keep', digitsOnly: false, hash: 'none' },
    });
    const people = fc.sample(person, { numRuns: 200, seed });
    const documents = people.map((values, index) => `{"email":"p${index}@x.test"${values === '' ? '' : `,${values}`}}`);
    await fixture.database.transaction(async (tx) => {
      await tx.query(sql`
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT uuidv7(), ${fixture.workspaceId}, g.id, document::jsonb, 1 FROM unnest(${documents}::text[]) AS document,
          (SELECT id FROM profile.domain_group WHERE workspace_id = ${fixture.workspaceId}) AS g`);
      await tx.query(sql`
        INSERT INTO profile.membership (profile_id, segment_id, status)
        SELECT id, ${fixture.segmentId}, 'realized' FROM profile.profile`);
    });
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const exported = async (csv: Readonly<Record<string, unknown>>): Promise<{ file: string; dialect: CsvDialect }> => {
    const { counts, error } = await fixture.run(
      randomUUID(),
      fixture.goal({
        fileName: `${randomUUID()}`,
        columns: columns.map((name) => ({ header: name, source: { kind: 'property', property: name } })),
        csv,
      }),
    );
    expect(error).toBeUndefined();
    expect(counts.rows).toBe(200);
    return {
      file: path.join(fixture.root, fixture.bucket, counts.files[0]?.name ?? ''),
      dialect: csvDialect.parse(csv),
    };
  };

  it.each(dialects)('imports back to the same profiles: %s', async (_name, csv) => {
    const { file, dialect } = await exported(csv);
    const { header, rows } = await rowsOf(file, dialect);
    expect(header).toEqual(dialect.header ? columns : undefined);
    const named = dialect.header ? columns : columns.map((_column, index) => String(index + 1));
    const goal = importProfilesGoal.parse({
      kind: 'import-profiles',
      name: 'back',
      source: { bucket: 'bucket', pattern: { kind: 'every' } },
      csv,
      matching: { identifiers: [{ column: named[0], namespace: 'mail' }] },
      mappings: columns.map((property, index) => ({ column: named[index], property, rule: 'set' })),
    });
    const mapper = compileImportRow(
      goal,
      new ColumnIndex('file', header, columns.length),
      await loadCatalogue(fixture.database, fixture.workspaceId),
    );
    const back = rows.map(({ fields, quoted }) => {
      const mapped = mapper.map(fields, quoted);
      if (mapped.kind === 'rejected') throw new Error(`${mapped.column}: ${mapped.message}`);
      expect(mapped.fieldRejections).toEqual([]);
      return mapped.assign ?? '{}';
    });
    const { rows: differing } = await fixture.database.query<{ stored: string; read: string }>(sql`
      SELECT p.properties AS stored, back.document AS read
      FROM profile.profile p FULL JOIN unnest(${back}::text[]) AS back (document) ON back.document::jsonb->>'email' = p.properties->>'email'
      WHERE p.properties IS DISTINCT FROM back.document::jsonb`);
    expect(differing).toEqual([]);
  });

  /** What other programs are told of a dialect; what they do not know they cannot be asked about. */
  const common = dialects.filter(([, csv]) => csv['quote'] !== null);

  // They know a backslash before a quote, not before a backslash.
  it.each(common.filter(([, csv]) => csv['escape'] === undefined))(
    'reads the same in two other parsers: %s',
    async (_name, csv) => {
      const { file, dialect } = await exported(csv);
      const { header, rows } = await rowsOf(file, dialect);
      const expected = [...(header === undefined ? [] : [header]), ...rows.map(({ fields }) => fields)];
      const content = await textOf(file, dialect);
      const [quote, escape] = [dialect.quote ?? '', dialect.escape === 'backslash' ? '\\' : (dialect.quote ?? '')];
      const end = dialect.lineEnding === 'crlf' ? '\r\n' : '\n';
      const byCsvParse = parse(content, { delimiter: dialect.delimiter, quote, escape, record_delimiter: end });
      expect(byCsvParse).toEqual(expected);
      const { delimiter } = dialect;
      const options = { delimiter, quoteChar: quote, escapeChar: escape, newline: end, skipEmptyLines: true } as const;
      expect(papaparse.parse<string[]>(content, options).data).toEqual(expected);
    },
  );

  (python === undefined ? it.skip : it).each(common)("reads the same in Python's csv: %s", async (_name, csv) => {
    const { file, dialect } = await exported(csv);
    const { header, rows } = await rowsOf(file, dialect);
    const encodings: Partial<Record<CsvDialect['charset'], string>> = {
      'utf-8-bom': 'utf-8-sig',
      'utf-16le': 'utf-16',
      'utf-16be': 'utf-16',
    };
    const options = {
      encoding: encodings[dialect.charset] ?? dialect.charset,
      delimiter: dialect.delimiter,
      quotechar: dialect.quote,
      doublequote: dialect.escape === 'doubled',
      ...(dialect.escape === 'backslash' ? { escapechar: '\\' } : {}),
    };
    const script = fileURLToPath(new URL('read-with.py', import.meta.url));
    const output = execFileSync(python ?? '', [script, file, JSON.stringify(options)], { maxBuffer: 1e9 });
    expect(JSON.parse(output.toString())).toEqual([
      ...(header === undefined ? [] : [header]),
      ...rows.map(({ fields }) => fields),
    ]);
  });

  const copied = dialects.filter(([, csv]) => copyOptions(csvDialect.parse(csv)) !== undefined);

  it.each(copied)("reads the same in PostgreSQL's COPY, no value told from empty: %s", async (_name, csv) => {
    const { file, dialect } = await exported(csv);
    const { rows } = await rowsOf(file, dialect);
    const options = copyOptions(dialect);
    if (options === undefined) throw new Error('COPY cannot read it');
    const content = (await textOf(file, dialect)).split('\n');
    const body = dialect.header ? content.slice(1).join('\n') : content.join('\n');
    const found = await fixture.database.transaction(async (tx) => {
      const table = sql.join(columns.map((_column, index) => sql`${sql.id(`c${index}`)} text`));
      await tx.query(sql`CREATE TEMPORARY TABLE back (${table}) ON COMMIT DROP`);
      const form =
        options.format === 'text'
          ? sql`FORMAT text`
          : sql`FORMAT csv, QUOTE ${sql.literal(options.quote ?? '"')}, ESCAPE ${sql.literal(options.escape ?? '"')}`;
      const copy = tx.copyIn(
        sql`COPY back FROM STDIN (${form}, DELIMITER ${sql.literal(options.delimiter)}, NULL ${sql.literal(options.null)})`,
      );
      await new Promise<void>((resolve, reject) => copy.on('error', reject).on('finish', resolve).end(body));
      const fields = sql.join(columns.map((_column, index) => sql.id(`c${index}`)));
      return (await tx.query<{ fields: (string | null)[] }>(sql`SELECT ARRAY[${fields}] AS fields FROM back`)).rows;
    });
    const ours = rows.map(({ fields, quoted }) =>
      fields.map((field, index) => (field === dialect.nullText && quoted?.[index] !== 1 ? null : field)),
    );
    expect(found.map(({ fields }) => fields)).toEqual(ours);
  });
});

interface ReadRows {
  readonly header: readonly string[] | undefined;
  readonly rows: readonly { readonly fields: readonly string[]; readonly quoted: Uint8Array | undefined }[];
}

async function rowsOf(file: string, dialect: CsvDialect): Promise<ReadRows> {
  const { header, batches } = await readTable(Readable.from([await readFile(file)]), dialect);
  const rows: { fields: readonly string[]; quoted: Uint8Array | undefined }[] = [];
  for await (const batch of batches) {
    for (const row of batch.rows) {
      if (row.kind === 'bad') throw new Error(`line ${row.line}: ${row.message}`);
      rows.push({ fields: row.fields, quoted: row.quoted });
    }
  }
  return { header, rows };
}

async function textOf(file: string, { charset }: CsvDialect): Promise<string> {
  const label = { 'utf-8-bom': 'utf-8', 'iso-8859-1': 'latin1' } as const;
  return new TextDecoder(charset in label ? label[charset as keyof typeof label] : charset).decode(
    await readFile(file),
  );
}

function findPython(): string | undefined {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return 'python3';
  } catch {
    return undefined;
  }
}

import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { awsAccess, FaultProxy } from '@millrace/testing';
import { ImportHarness, outcomes } from './import-harness.js';

const values = [
  ['plain', 'Ann', 'Ghent'],
  ['empty', '', ''],
  ['quotes', 'she said "hello", twice', "it's"],
  ['delimiters', 'a,b;c\td|e', ';'],
  ['breaks', 'two\nlines', 'a\r\nb'],
  ['spaces', ' leading and trailing ', '\t'],
  ['backslashes', 'C:\\new\\table\\', '\\'],
  ['words', 'NULL', '\\N'],
  ['alphabets', 'Jörg Łukasz 日本語', '😀 ‏שלום'],
  ['formula', '=1+1', '@SUM(A1)'],
] as const;

let harness: ImportHarness;
let folder: string;

beforeAll(async () => {
  harness = await ImportHarness.create('written-elsewhere', [{ name: 'name' }, { name: 'note' }]);
  harness.startWorker();
  folder = mkdtempSync(path.join(tmpdir(), 'millrace-elsewhere-'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await harness.close();
});

const missing = (program: string, flag = '--version'): boolean => spawnSync(program, [flag]).status !== 0;

/** Skips, saying why, where a program is not on this machine. */
function withProgram(program: string, flag?: string): jest.Describe {
  if (!missing(program, flag)) return describe;
  process.stderr.write(`Skipping the tests with ${program}: it is not installed on this machine\n`);
  return describe.skip;
}

let directories = 0;
const newDirectory = (): string => `d${(directories += 1)}`;

function goalFor(directory: string, csv: Record<string, unknown> = {}, changes: Record<string, unknown> = {}) {
  return harness.goal({
    source: { bucket: harness.bucket, directory, pattern: { kind: 'every' } },
    csv,
    mappings: [
      { column: 'name', property: 'name' },
      { column: 'note', property: 'note' },
    ],
    ...changes,
  });
}

/** Imports a file of `values`, whose ids begin with the prefix, and compares what is stored, character by character. */
async function expectValues(prefix: string, content: Uint8Array, csv: Record<string, unknown>): Promise<void> {
  const directory = newDirectory();
  await harness.client.put(harness.bucket, `${directory}/people.csv`, content);
  const run = await harness.run(goalFor(directory, csv));
  expect(run).toMatchObject({ outcome: 'succeeded', counts: { created: values.length, rejected: 0 } });
  const profiles = await harness.profiles();
  for (const [id, name, note] of values) {
    const expected = Object.fromEntries(Object.entries({ name, note }).filter(([, value]) => value !== ''));
    expect([id, profiles[`${prefix}-${id}`]]).toEqual([id, expected]);
  }
}

const rowsOf = (prefix: string): string[][] => values.map(([id, ...rest]) => [`${prefix}-${id}`, ...rest]);

withProgram('python3')("files of Python's csv module", () => {
  const script = `
import csv, json, sys
options = json.loads(sys.argv[1])
charset = options.pop('charset')
rows = json.load(sys.stdin)
with open(sys.argv[2], 'w', newline='', encoding=charset) as file:
    writer = csv.writer(file, **options)
    writer.writerow(['id', 'name', 'note'])
    writer.writerows(rows)
`;
  const styles: [string, Record<string, unknown>, Record<string, unknown>][] = [
    ['quotes where needed', { quoting: 0 }, {}],
    ['quotes everywhere', { quoting: 1 }, {}],
    ['quotes around what is no number', { quoting: 2 }, {}],
    ['the dialect excel-tab', { dialect: 'excel-tab' }, { delimiter: '\t' }],
    ['the dialect unix', { dialect: 'unix' }, {}],
    ['semicolons and apostrophes', { delimiter: ';', quotechar: "'" }, { delimiter: ';', quote: "'" }],
    ['a byte order mark', { charset: 'utf-8-sig' }, {}],
    ['UTF-16', { charset: 'utf-16' }, {}],
    ['quotes escaped by a backslash', { doublequote: false, escapechar: '\\', quoting: 1 }, { escape: 'backslash' }],
    [
      'no quotes, and a backslash before what would end a field',
      { quoting: 3, escapechar: '\\', delimiter: '|' },
      { quote: null, escape: 'backslash', delimiter: '|' },
    ],
  ];

  it.each(styles)('are read as they were meant: %s', async (style, options, csv) => {
    const prefix = `python${styles.findIndex(([name]) => name === style)}`;
    const file = path.join(folder, `${prefix}.csv`);
    const given = JSON.stringify({ charset: 'utf-8', ...options });
    execFileSync('python3', ['-c', script, given, file], { input: JSON.stringify(rowsOf(prefix)) });
    await expectValues(prefix, readFileSync(file), csv);
  });
});

withProgram('psql')("files of PostgreSQL's \\copy", () => {
  const psql = (commands: string): void => {
    const args = ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', harness.testDatabase.url];
    execFileSync('psql', args, { input: commands, stdio: ['pipe', 'pipe', 'pipe'] });
  };
  const literal = (text: string): string => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

  const formats: [string, string, Record<string, unknown>][] = [
    ['csv', "(FORMAT csv, HEADER, NULL '')", {}],
    ['csv, all quoted', "(FORMAT csv, HEADER, FORCE_QUOTE *, NULL '\\N')", { nullWords: ['\\N'] }],
    ['csv with semicolons', "(FORMAT csv, HEADER, DELIMITER ';', QUOTE '''')", { delimiter: ';', quote: "'" }],
    ['csv escaped by a backslash', "(FORMAT csv, HEADER, ESCAPE '\\', FORCE_QUOTE *)", { escape: 'backslash' }],
    ['csv in UTF-8 said to be so', "(FORMAT csv, HEADER, ENCODING 'UTF8')", { charset: 'utf-8' }],
    ['text', '(FORMAT text, HEADER)', { delimiter: '\t', quote: null, escape: 'backslash', nullWords: ['\\N'] }],
  ];

  it.each(formats)('are read as they were meant: %s', async (format, options, csv) => {
    const prefix = `copy${formats.findIndex(([name]) => name === format)}`;
    const file = path.join(folder, `${prefix}.csv`);
    const rows = rowsOf(prefix).map((row) => `(${row.map(literal).join(', ')})`);
    psql(`
CREATE TEMP TABLE people (id text, name text, note text);
INSERT INTO people VALUES ${rows.join(', ')};
\\copy people TO '${file}' WITH ${options}
`);
    await expectValues(prefix, readFileSync(file), csv);
  });
});

describe('files of Excel', () => {
  const quoted = (field: string): string => (/[;"\r\n\t]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
  const lines = (prefix: string, delimiter: string): string =>
    [['id', 'name', 'note'], ...rowsOf(prefix)].map((row) => `${row.map(quoted).join(delimiter)}\r\n`).join('');

  it('are read with their sep= line, byte order mark and CRLF', async () => {
    await expectValues('excel0', Buffer.from(`\ufeffsep=;\r\n${lines('excel0', ';')}`), { delimiter: ';' });
  });

  it('are read with their sep= line where they have no header', async () => {
    const directory = newDirectory();
    await harness.client.put(
      harness.bucket,
      `${directory}/a.csv`,
      Buffer.from('\ufeffsep=;\r\nheadless-a;Zo\u00eb\r\n'),
    );
    const run = await harness.run({
      ...goalFor(directory, { delimiter: ';', header: false }),
      matching: harness.goal({ matching: { identifiers: [{ column: '1', namespace: 'customerId' }] } }).matching,
      mappings: harness.goal({ mappings: [{ column: '2', property: 'name' }] }).mappings,
    });
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: 1, created: 1 } });
    expect((await harness.profiles())['headless-a']).toEqual({ name: 'Zo\u00eb' });
  });

  it('are read as "Unicode text"', async () => {
    await expectValues('excel1', Buffer.from(`\ufeff${lines('excel1', '\t')}`, 'utf16le'), { delimiter: '\t' });
  });

  it('are read in the charset of Windows, with decimal commas', async () => {
    const directory = newDirectory();
    const text = 'sep=;\r\nid;name;note\r\nexcel2-a;Zo\u00eb;12,5 \u0080\r\n';
    await harness.client.put(harness.bucket, `${directory}/a.csv`, Buffer.from(text, 'latin1'));
    const run = await harness.run(goalFor(directory, { delimiter: ';', charset: 'windows-1252' }));
    expect(run.counts).toMatchObject({ created: 1 });
    expect((await harness.profiles())['excel2-a']).toEqual({ name: 'Zoë', note: '12,5 €' });
  });
});

withProgram('aws')('files sent with `aws s3 cp`', () => {
  /** Resolves to how many parts it was sent in; 0: whole. */
  const copy = async (file: string, key: string): Promise<number> => {
    const proxy = await FaultProxy.start(awsAccess('s3').endpoint);
    const { endpoint, region, accessKeyId, secretAccessKey } = awsAccess('s3', proxy.url);
    const config = path.join(folder, 'aws-config');
    writeFileSync(config, '[default]\ns3 =\n  multipart_threshold = 6MB\n  multipart_chunksize = 5MB\n');
    const env = {
      PATH: process.env['PATH'],
      AWS_CONFIG_FILE: config,
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_EC2_METADATA_DISABLED: 'true',
      // Newer versions add trailers that the stand-in does not know.
      AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
    };
    const target = `s3://${harness.bucket}/${key}`;
    await promisify(execFile)('aws', ['--endpoint-url', endpoint, 's3', 'cp', '--quiet', file, target], { env });
    const parts = proxy.seen.filter(({ path: request }) => request.includes('partNumber=')).length;
    await proxy.stop();
    return parts;
  };

  it.each([
    ['whole', 100, 0],
    ['in parts', 12_000, 3],
  ])('are imported once and marked: %s', async (way, rows, parts) => {
    const prefix = way.replace(' ', '-');
    const directory = newDirectory();
    const file = path.join(folder, `${prefix}.csv`);
    const filler = 'x'.repeat(1000);
    const lines = Array.from({ length: rows }, (_, row) => `${prefix}-${row},Somebody,${filler}\n`);
    writeFileSync(file, `id,name,note\n${lines.join('')}`);
    expect(await copy(file, `${directory}/people.csv`)).toBe(parts);
    const run = await harness.run(goalFor(directory, {}, { afterImport: 'done-suffix' }));
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { rowsRead: rows, created: rows, files: 1 } });
    expect(outcomes(run.counts)).toBe(rows);
    expect((await harness.client.list(harness.bucket, `${directory}/`)).map(({ key }) => key)).toEqual([
      `${directory}/people.csv.done`,
    ]);
    await copy(file, `${directory}/people.csv`);
    expect((await harness.run(goalFor(directory, {}, { afterImport: 'done-suffix' }))).counts).toMatchObject({
      files: 0,
      filesSkipped: 1,
    });
  });
});

import { createHash, createHmac } from 'node:crypto';
import { processor, type Processor } from '@millrace/domain';
import { ColumnIndex, compileProcessors, processorMisfit, type FieldRejection } from '../src/index.js';

const key = new Uint8Array(32).fill(1);
const now = new Date('2026-03-29T01:30:00.250Z');

interface Options {
  readonly rejectRow?: boolean;
  readonly nullWords?: string[];
}

function compile(steps: readonly object[], header: readonly string[] = ['a', 'b', 'c'], options: Options = {}) {
  return compileProcessors({
    processors: steps.map((step): Processor => processor.parse(step)),
    dialect: { nullWords: options.nullWords ?? [], trim: false },
    columns: new ColumnIndex('people.csv', header, header.length),
    pseudonymKey: key,
    now,
    rejectRow: options.rejectRow ?? true,
  });
}

/** What one processor on column `a` makes of a value. */
function change(step: object, value: string): string | undefined {
  const compiled = compile([{ column: 'a', ...step }]);
  const result = compiled.process([value, '', ''], undefined, () => undefined);
  return result.kind === 'row' ? result.fields[0] : result.kind;
}

describe('a value', () => {
  it.each([
    ['  Ann.B@Example.COM ', 'ann.b@example.com'],
    ['"Ann" <mailto:ann@example.com>', 'ann@example.com'],
    ['ann@example.com.;', 'ann@example.com'],
    ['ann@example', 'rejected'],
    ['a@b@example.com', 'rejected'],
    ['@example.com', 'rejected'],
  ])('as e-mail address: %j is %j', (given, wanted) => {
    expect(change({ kind: 'clean-email' }, given)).toBe(wanted);
  });

  it.each([
    ['  JEAN-luc  ', 'JEAN-luc'],
    ['JEAN-LUC  O\u2019NEILL', 'Jean-Luc O\u2019Neill'],
    ['jose\u0301', 'Jos\u00e9'],
    ['van der Berg', 'van der Berg'],
  ])('as name: %j is %j', (given, wanted) => {
    expect(change({ kind: 'normalise-name' }, given)).toBe(wanted);
  });

  it('is trimmed, or put in another case', () => {
    expect(change({ kind: 'trim' }, ' x ')).toBe('x');
    expect(change({ kind: 'change-case', to: 'lower' }, 'ÄB')).toBe('äb');
    expect(change({ kind: 'change-case', to: 'upper' }, 'straße')).toBe('STRASSE');
    expect(change({ kind: 'change-case', to: 'title' }, 'new YORK')).toBe('New York');
  });

  it('is converted by a table, of whose entries the first counts', () => {
    const table = [
      { from: 'm', to: 'male' },
      { from: 'm', to: 'metre' },
    ];
    expect(change({ kind: 'convert-value', table }, 'm')).toBe('male');
    expect(change({ kind: 'convert-value', table }, 'M')).toBe('M');
    expect(change({ kind: 'convert-value', table, ignoreCase: true }, 'M')).toBe('male');
    expect(change({ kind: 'convert-value', table, otherwise: 'empty' }, 'x')).toBe('');
    expect(change({ kind: 'convert-value', table, otherwise: 'reject' }, 'x')).toBe('rejected');
  });

  it.each([
    ['dd.MM.yyyy', 'yyyy-MM-dd', '29.02.2024', '2024-02-29'],
    ['dd.MM.yyyy', 'yyyy-MM-dd', '29.02.2023', 'rejected'],
    ['M/d/yy', 'yyyy-MM-dd', '7/4/69', '1969-07-04'],
    ["yyyyMMdd'T'HHmmss", 'yyyy-MM-dd HH:mm:ss', '20240229T235959', '2024-02-29 23:59:59'],
    ['yyyy-MM-dd HH:mm XXX', "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", '2024-01-02 03:04 +0130', '2024-01-02T03:04:00.000+01:30'],
    ['HH:mm', 'HH:mm', '24:00', 'rejected'],
  ])('as date of the form %s becomes %s: %j is %j', (from, to, given, wanted) => {
    expect(change({ kind: 'reformat-date', from, to }, given)).toBe(wanted);
  });

  it.each([
    [{ decimalSeparator: ',', groupSeparator: '.' }, '1.234.567,80', '1234567.80'],
    [{ decimalSeparator: ',', groupSeparator: ' ', to: ',' }, '-1 234,5', '-1234,5'],
    [{ decimalSeparator: '.', decimals: 2 }, '0.125', '0.13'],
    [{ decimalSeparator: '.', decimals: 2 }, '-9.995', '-10.00'],
    [{ decimalSeparator: '.', decimals: 0 }, '-0.4', '0'],
    [{ decimalSeparator: '.' }, '007', '7'],
    [
      { decimalSeparator: '.' },
      '12345678901234567890.12345678901234567890',
      '12345678901234567890.12345678901234567890',
    ],
    [{ decimalSeparator: '.' }, '1,5', 'rejected'],
    [{ decimalSeparator: '.' }, '.', 'rejected'],
  ])('as number with %j: %j is %j', (form, given, wanted) => {
    expect(change({ kind: 'reformat-number', ...form }, given)).toBe(wanted);
  });

  it('is hashed in lower case and without white space around it', () => {
    const digest = createHash('sha256').update('ann@example.com').digest('hex');
    expect(change({ kind: 'hash' }, ' Ann@Example.com ')).toBe(digest);
  });

  it('is pseudonymised under the key', () => {
    const wanted = createHmac('sha256', key).update('K-17').digest('hex');
    expect(change({ kind: 'pseudonymise' }, 'K-17')).toBe(wanted);
  });

  it('that is a null word is emptied, whatever its case', () => {
    expect(change({ kind: 'drop-null-words', words: ['n/a'] }, ' N/A ')).toBe('');
    expect(change({ kind: 'drop-null-words', words: ['n/a'] }, 'nab')).toBe('nab');
  });
});

describe('a row', () => {
  const all = (steps: readonly object[], row: string[], quoted?: Uint8Array): unknown => {
    const compiled = compile(steps);
    const result = compiled.process(row, quoted, () => undefined);
    return result.kind === 'row' ? result.fields : result.kind;
  };

  it('gets new columns behind its own, which later processors may use', () => {
    const steps = [
      { kind: 'concatenate', columns: ['a', 'b', 'c'], separator: ' ', into: 'full' },
      { kind: 'change-case', column: 'full', to: 'upper', into: 'loud' },
      { kind: 'fixed-value', into: 'source', value: 'shop' },
    ];
    const compiled = compile(steps);
    expect(compiled.process(['Ann', '', 'Lee'], undefined, () => undefined)).toMatchObject({
      fields: ['Ann', '', 'Lee', 'Ann Lee', 'ANN LEE', 'shop'],
    });
    expect(compiled.columns.position('loud')).toBe(4);
  });

  it('is split: the last column takes the rest, missing pieces stay absent', () => {
    const split = { kind: 'split', column: 'a', separator: '|', into: ['x', 'y'] };
    expect(all([split], ['1|2|3', '', ''])).toEqual(['1|2|3', '', '', '1', '2|3']);
    expect(all([split], ['1', '', ''])).toEqual(['1', '', '', '1']);
  });

  it('gets the present date in a zone', () => {
    const dated = {
      kind: 'current-date',
      into: 'a',
      pattern: "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
      timeZone: 'Europe/Berlin',
    };
    expect(all([dated], ['', '', ''])).toEqual(['2026-03-29T03:30:00.250+02:00', '', '']);
  });

  it('is left as it is where a value is missing', () => {
    const compiled = compile([{ kind: 'hash', column: 'c' }], undefined, { nullWords: ['NULL'] });
    for (const row of [
      ['1', '2'],
      ['1', '2', ''],
      ['1', '2', 'NULL'],
    ])
      expect(compiled.process(row, undefined, () => undefined)).toMatchObject({ fields: row });
  });

  it('keeps what a processor wrote, even if it reads like a null word', () => {
    const compiled = compile([{ kind: 'fixed-value', into: 'a', value: 'NULL' }], undefined, { nullWords: ['NULL'] });
    expect(compiled.process(['', '', ''], undefined, () => undefined)).toMatchObject({
      quoted: Uint8Array.of(1, 0, 0),
    });
  });

  it.each([
    [{ op: 'matches', pattern: '^a.*z$' }, 'abz', true],
    [{ op: 'matches', pattern: '(?i)B' }, 'abz', true],
    [{ op: 'equals', value: 'abz' }, 'abz', true],
    [{ op: 'not-equals', value: 'abz' }, 'abz', false],
    [{ op: 'contains', value: 'b' }, 'abz', true],
    [{ op: 'starts-with', value: 'b' }, 'abz', false],
    [{ op: 'ends-with', value: 'z' }, 'abz', true],
    [{ op: 'in', values: ['x', 'abz'] }, 'abz', true],
    [{ op: 'less', value: '10' }, '9', true],
    [{ op: 'less', value: '10', as: 'text' }, '9', false],
    [{ op: 'less-or-equal', value: '10' }, '10.00', true],
    [{ op: 'greater', value: '-1.5' }, '-1.49', true],
    [{ op: 'greater-or-equal', value: '90071992547409930.1' }, '90071992547409930.2', true],
    [{ op: 'greater', value: '1' }, 'many', false],
    [{ op: 'exists' }, 'abz', true],
    [{ op: 'exists' }, '', false],
    [{ op: 'missing' }, '', true],
    [{ op: 'not-equals', value: 'abz' }, '', false],
  ])('passes the test %j with %j: %s', (test, value, passes) => {
    const [keep, drop] = ['keep', 'drop'].map((action) =>
      all([{ kind: 'filter', column: 'a', action, test }], [value, '', '']),
    );
    expect([keep !== 'dropped', drop === 'dropped']).toEqual([passes, passes]);
  });

  it('behind the first ones asked for is dropped', () => {
    const compiled = compile([{ kind: 'first-rows', rows: 2 }]);
    const kinds = [1, 2, 3].map(() => compiled.process(['', '', ''], undefined, () => undefined).kind);
    expect(kinds).toEqual(['row', 'row', 'dropped']);
  });

  it('is counted where it comes to a log', () => {
    const compiled = compile([
      { kind: 'log', label: 'all' },
      { kind: 'filter', column: 'a', action: 'drop', test: { op: 'missing' } },
      { kind: 'log', label: 'named' },
    ]);
    for (const value of ['x', '', 'y']) compiled.process([value, '', ''], undefined, () => undefined);
    expect(compiled.logged()).toEqual([
      { label: 'all', rows: 3 },
      { label: 'named', rows: 2 },
    ]);
  });

  it('goes on without a value that cannot be understood, if the goal says so', () => {
    const found: FieldRejection[] = [];
    const compiled = compile([{ kind: 'clean-email', column: 'a' }], undefined, { rejectRow: false });
    const result = compiled.process(['nobody', 'b', 'c'], undefined, (rejection) => found.push(rejection));
    expect(result).toMatchObject({ kind: 'row', fields: [undefined, 'b', 'c'] });
    expect(found).toEqual([{ column: 'a', code: 'bad-value', message: 'the value is not an e-mail address' }]);
  });
});

describe('processors', () => {
  it('name the column the file lacks', () => {
    expect(() => compile([{ kind: 'trim', column: 'd' }])).toThrow('people.csv has no column "d"');
  });

  it('run hostile patterns in linear time', () => {
    const test = { op: 'matches', pattern: '^(a+)+$' };
    expect(change({ kind: 'filter', action: 'keep', test }, `${'a'.repeat(50_000)}!`)).toBe('dropped');
  });

  it.each([
    [
      { kind: 'filter', column: 'a', action: 'keep', test: { op: 'matches', pattern: '(?=a)' } },
      /no regular expression/,
    ],
    [{ kind: 'filter', column: 'a', action: 'keep', test: { op: 'less', value: 'x' } }, /is no number/],
    [{ kind: 'reformat-date', column: 'a', from: 'YYYY' }, /has "YYYY"/],
    [{ kind: 'current-date', into: 'a', timeZone: 'Mars/Olympus' }, /no time zone/],
    [{ kind: 'reformat-number', column: 'a', decimalSeparator: '.', groupSeparator: '.' }, /must differ/],
  ])('that can never work are told before a file is seen: %j', (given, message) => {
    expect(processorMisfit(processor.parse(given))).toMatch(message);
  });
});

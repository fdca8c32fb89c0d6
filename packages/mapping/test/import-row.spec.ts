import { readFileSync } from 'node:fs';
import { importProfilesGoal, type ImportProfilesGoal, type MergeRule } from '@millrace/domain';
import { ColumnIndex, compileImportRow, type MappedRow } from '../src/index.js';
import { catalogueWith } from './catalogue-fixture.js';

interface FieldReadings {
  readonly nullWords: string[];
  readonly fields: Record<string, { row: string[]; quoted: number[] }>;
  readonly readings: Record<MergeRule, Record<string, Record<string, unknown> | 'rejected'>>;
}

const table = JSON.parse(
  readFileSync(new URL('../fixtures/field-readings.json', import.meta.url), 'utf8'),
) as FieldReadings;
const catalogue = catalogueWith({
  word: 'string',
  words: 'string[]',
  number: 'decimal',
  __proto__x: 'string',
  'a "b"; DROP TABLE x': 'string',
});

const goal = (overrides: object): ImportProfilesGoal =>
  importProfilesGoal.parse({
    kind: 'import-profiles',
    name: 'g',
    source: { bucket: 'bucket', pattern: { kind: 'every' } },
    matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
    ...overrides,
  });

const columns = (...names: string[]): ColumnIndex => new ColumnIndex('people.csv', names, names.length);

function parts(mapped: MappedRow): unknown {
  if (mapped.kind === 'rejected') return 'rejected';
  const found: Record<string, unknown> = {};
  for (const part of ['assign', 'fill', 'append', 'increment'] as const) {
    const text = mapped[part];
    if (text !== null && text !== '{}') found[part] = JSON.parse(text);
  }
  return found;
}

describe('mapping a row', () => {
  const targets: Record<MergeRule, string> = {
    set: 'word',
    'set-if-empty': 'word',
    'set-or-clear': 'word',
    add: 'words',
    sum: 'number',
  };

  for (const [rule, readings] of Object.entries(table.readings) as [
    MergeRule,
    FieldReadings['readings'][MergeRule],
  ][]) {
    const mapper = compileImportRow(
      goal({ csv: { nullWords: table.nullWords }, mappings: [{ column: 'value', property: targets[rule], rule }] }),
      columns('id', 'value'),
      catalogue,
    );
    it.each(Object.entries(readings))(`under ${rule}, a field %s`, (kind, expected) => {
      const { row, quoted } = table.fields[kind]!;
      const flags = Uint8Array.from(row.map((_, index) => (index === 1 && quoted.length > 0 ? 1 : 0)));
      expect(parts(mapper.map(row, flags))).toEqual(expected);
    });
  }

  it('rejects a row whose identifier columns are all empty', () => {
    const mapper = compileImportRow(goal({}), columns('id'), catalogue);
    expect(mapper.map(['  '], undefined)).toEqual({
      kind: 'rejected',
      column: 'id',
      code: 'no-identifier',
      message: 'every identifier column is empty',
    });
  });

  it('rejects only the field where the goal says so', () => {
    const mapper = compileImportRow(
      goal({
        badValue: 'reject-field',
        mappings: [
          { column: 'n', property: 'number' },
          { column: 'w', property: 'word' },
        ],
      }),
      columns('id', 'n', 'w'),
      catalogue,
    );
    const mapped = mapper.map(['1', 'many', 'kept'], undefined);
    expect(parts(mapped)).toEqual({ assign: { word: 'kept' } });
    expect(mapped.kind === 'row' && mapped.fieldRejections).toEqual([
      { column: 'n', code: 'bad-value', message: 'the value is not a decimal number' },
    ]);
  });

  it('takes hostile names as names', () => {
    const mapper = compileImportRow(
      goal({
        mappings: [
          { column: '__proto__', property: '__proto__x' },
          { column: 'x', property: 'a "b"; DROP TABLE x' },
        ],
      }),
      columns('id', '__proto__', 'x'),
      catalogue,
    );
    expect(parts(mapper.map(['1', 'p', 'q'], undefined))).toEqual({
      assign: { __proto__x: 'p', 'a "b"; DROP TABLE x': 'q' },
    });
  });

  it('finds columns by position in a file without header', () => {
    const mapper = compileImportRow(
      goal({
        matching: { identifiers: [{ column: '2', namespace: 'email' }] },
        mappings: [{ column: '1', property: 'word' }],
      }),
      new ColumnIndex('people.csv', undefined, 2),
      catalogue,
    );
    expect(mapper.map(['w', 'A@b.test'], undefined)).toMatchObject({ ids: ['a@b.test'], assign: '{"word":"w"}' });
  });

  it('names the file and the column when a mapped column is missing', () => {
    expect(() =>
      compileImportRow(goal({ mappings: [{ column: 'gone', property: 'word' }] }), columns('id', 'value'), catalogue),
    ).toThrow('people.csv has no column "gone" among its 2; check the header, the delimiter and the mapping');
  });

  it('refuses a column that stands twice', () => {
    expect(() => compileImportRow(goal({}), columns('id', 'id'), catalogue)).toThrow(
      'people.csv has more than one column "id"',
    );
  });
});

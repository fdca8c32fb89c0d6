import { csvDialect } from '@millrace/domain';
import { rawRow } from './raw-row.js';

const raw = (dialect: object, fields: string[]): string =>
  rawRow(csvDialect.parse(dialect))({ line: 1, fields, quoted: undefined });

describe('rawRow', () => {
  it('writes a row that reads back as the same values', () => {
    expect(raw({}, ['a', 'b,c', 'say "so"', ''])).toBe('a,"b,c","say ""so""",');
  });

  it('leaves null words without a value', () => {
    expect(raw({ nullWords: ['NULL'] }, ['NULL', 'a'])).toBe(',a');
  });

  it('writes what the dialect cannot quote all the same', () => {
    expect(raw({ quote: null, delimiter: ';' }, ['a;b', 'c'])).toBe('a;b;c');
  });

  it('cuts a long row', () => {
    expect(raw({}, ['x'.repeat(10_000)])).toHaveLength(4096);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inShort, readAll, type DialectInput } from './read-all.js';

const folder = join(import.meta.dirname, 'fixtures');

interface Expected {
  readonly dialect: DialectInput;
  readonly header?: readonly string[];
  readonly rows: readonly unknown[];
}

describe('golden files', () => {
  it.each(readdirSync(folder))('%s', async (name) => {
    const { dialect, header, rows } = JSON.parse(readFileSync(join(folder, name, 'expected.json'), 'utf8')) as Expected;
    const input = readFileSync(join(folder, name, 'input.csv'));
    for (const pieceBytes of [16, 64 * 1024]) {
      const table = await readAll(input, dialect, { pieceBytes });
      expect({ header: table.header, rows: inShort(table.rows) }).toEqual({ header, rows });
    }
  });
});

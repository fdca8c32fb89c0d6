import { rowFormatter } from '@millrace/delimited';
import type { CsvDialect } from '@millrace/domain';
import { fieldReader } from '@millrace/mapping';
import type { ReadRow } from './row-encoders.js';

/** A row that is kept has fewer characters than this, or was cut. */
export const rawLimit = 4096;

/** Writes a rejected row as it stood in the file, give or take quotes, 4096 characters at most; it reads back as the same values. */
export function rawRow(dialect: CsvDialect): (row: ReadRow) => string {
  const format = rowFormatter({ ...dialect, nullText: '', lineEnding: 'lf' });
  const read = fieldReader(dialect);
  return ({ fields, quoted }) => {
    const values = fields.map((text, position) => (read(fields, position, quoted) === null ? null : text));
    try {
      return format(values).slice(0, -1).slice(0, rawLimit);
    } catch {
      // A value this dialect cannot write, which the reader took all the same.
      return fields.join(dialect.delimiter).slice(0, rawLimit);
    }
  };
}

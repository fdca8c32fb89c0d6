import { InputError, type CsvDialect } from '@millrace/domain';

/** Marks the dialects in which fields stand bare and a backslash protects what would end them (`COPY` text format, MySQL). */
export function isBackslashText(dialect: CsvDialect): boolean {
  return dialect.quote === null && dialect.escape === 'backslash';
}

const usualRecord = 1024 * 1024;

/** Characters of the longest row that is read. */
export function maxRecordOf({ maxRecordBytes = usualRecord }: Pick<CsvDialect, 'maxRecordBytes'>): number {
  return maxRecordBytes;
}

/** PostgreSQL refuses the same delimiters in its text format: after a backslash they would mean something else. */
const takenAfterBackslash = /[\\.a-z0-9]/;

/**
 * Refuses what no reader could tell apart.
 * @throws InputError `dialect-invalid` naming the option
 */
export function checkDialect(dialect: CsvDialect): void {
  const invalid = (option: string, message: string): InputError =>
    new InputError('dialect-invalid', `CSV option ${option} ${message}`, { at: `csv.${option}` });
  if (/[\ud800-\udfff\ufeff]/.test(dialect.delimiter)) throw invalid('delimiter', 'is not a character a file can hold');
  if (dialect.quote !== null && /[\ud800-\udfff\ufeff]/.test(dialect.quote)) {
    throw invalid('quote', 'is not a character a file can hold');
  }
  if (isBackslashText(dialect) && takenAfterBackslash.test(dialect.delimiter)) {
    throw invalid('delimiter', `cannot be "${dialect.delimiter}" where a backslash escapes and nothing is quoted`);
  }
  if (dialect.escape === 'backslash' && dialect.delimiter === '\\') {
    throw invalid('delimiter', 'cannot be the backslash that escapes');
  }
  if (dialect.trim && dialect.quote !== null && dialect.quote.trim() === '') {
    throw invalid('quote', 'cannot be white space where white space is trimmed');
  }
}

/** The part of `checkDialect` that only writing needs: the text for no value must be readable as itself. */
export function checkWritable(dialect: CsvDialect): void {
  checkDialect(dialect);
  const { nullText } = dialect;
  const invalid = (message: string): InputError =>
    new InputError('dialect-invalid', `CSV option nullText ${message}`, { at: 'csv.nullText' });
  if (/[\r\n\0]/.test(nullText)) throw invalid('cannot hold a line break or NUL');
  if (nullText.includes(dialect.delimiter)) throw invalid('cannot hold the delimiter');
  if (dialect.quote !== null && nullText.includes(dialect.quote)) throw invalid('cannot hold the quote');
  if (dialect.trim && nullText.trim() !== nullText)
    throw invalid('cannot begin or end with white space that is trimmed');
  if (isBackslashText(dialect) && nullText !== '\\N' && nullText.includes('\\')) {
    throw invalid('cannot hold a backslash, except as \\N, where a backslash escapes');
  }
}

import { InputError, type CsvDialect } from '@millrace/domain';
import { checkWritable, isBackslashText } from './dialect.js';
import { otherFormat } from './other-formats.js';

/** Writes one row with its line ending; null is "no value". */
export type RowFormatter = (fields: readonly (string | null)[]) => string;

/** What stands in a field, or a throw: `text`, its 0-based index, and whether it is alone in its row. */
type FieldFormatter = (text: string, index: number, alone: boolean) => string;

/**
 * A formatter for one dialect. What it writes, `readTable` reads back: no value as `nullText`, text as the same text.
 * For the dialects of `copyOptions` it writes the bytes PostgreSQL's COPY writes.
 *
 * With `formulaGuard` a value that a spreadsheet would run gets an apostrophe in front, which is part of the text for every
 * other reader. Names of columns do not: they are the operator's own.
 *
 * One difference cannot be written: without quotes, an empty text and no value are the same where `nullText` is empty.
 *
 * @throws InputError `dialect-invalid`. The formatter itself throws InputError `value-not-writable` for a NUL character,
 * and `value-needs-quoting` where the dialect has no quotes but the text could not be read back without.
 */
export function rowFormatter(dialect: CsvDialect): RowFormatter {
  checkWritable(dialect);
  const field = fieldFormatter(dialect);
  const { delimiter, nullText } = dialect;
  const lineEnd = dialect.lineEnding === 'crlf' ? '\r\n' : '\n';
  return (fields) => {
    const { length } = fields;
    const alone = length === 1;
    let row = '';
    for (let index = 0; index < length; index++) {
      const text = fields[index] as string | null;
      if (index > 0) row += delimiter;
      row += text === null ? nullText : field(text, index, alone);
    }
    return row + lineEnd;
  };
}

/**
 * The header line. A first name that a reader could take for something else at the start of a file (`sep=;`, a byte
 * order mark, another file format) is quoted.
 * @throws InputError as `rowFormatter`
 */
export function formatHeader(names: readonly string[], dialect: CsvDialect): string {
  const format = rowFormatter({ ...dialect, formulaGuard: false });
  const [first = ''] = names;
  const isMisread =
    /^(?:sep=|[\ufeff\u00fe\u00ff\u00ef])/i.test(first) ||
    otherFormat(Buffer.from(first, 'latin1')) !== undefined ||
    (first === '' && names.length === 1);
  if (!isMisread) return format(names);
  if (dialect.quote === null) throw needsQuoting(0, 'begins like something other than a header');
  const quotedFirst = rowFormatter({ ...dialect, formulaGuard: false, quotePolicy: 'all' })([first]);
  if (names.length === 1) return quotedFirst;
  const withoutLineEnd = quotedFirst.slice(0, dialect.lineEnding === 'crlf' ? -2 : -1);
  return withoutLineEnd + dialect.delimiter + format(names.slice(1));
}

/** What a spreadsheet takes for a formula, and what reading would take for the guard of one. */
const formula = /^'*[=+\-@\t\r\n]/;
const plainNumber = /^[+-]?\d+(?:[.,]\d+)?$/;

function fieldFormatter(dialect: CsvDialect): FieldFormatter {
  const format = unguardedField(dialect);
  if (!dialect.formulaGuard) return format;
  return (text, index, alone) =>
    format(formula.test(text) && !plainNumber.test(text) ? `'${text}` : text, index, alone);
}

function unguardedField(dialect: CsvDialect): FieldFormatter {
  if (isBackslashText(dialect)) return backslashField(dialect);
  return dialect.quote === null ? bareField(dialect) : quotedField(dialect, dialect.quote);
}

function quotedField(dialect: CsvDialect, quote: string): FieldFormatter {
  const { trim, nullText, quotePolicy } = dialect;
  const special = characterClass(dialect.delimiter, quote, '\r', '\n', '\0');
  const escapes = dialect.escape === 'backslash' ? characterClass(quote, '\\') : characterClass(quote);
  const escaping = new RegExp(escapes.source, 'g');
  const escape = dialect.escape === 'backslash' ? '\\' : quote;
  const readAsNull = wordsReadAsNull(dialect);
  readAsNull.add(nullText);
  const quoteAll = quotePolicy === 'all';
  return (text, index, alone) => {
    const hasSpecial = special.test(text);
    if (
      !hasSpecial &&
      !quoteAll &&
      !readAsNull.has(text) &&
      !(trim && text.trim() !== text) &&
      // COPY's end-of-data mark: PostgreSQL quotes it too.
      !(alone && text === '\\.')
    ) {
      return text;
    }
    if (hasSpecial && text.includes('\0')) throw holdsNul(index);
    return quote + (escapes.test(text) ? text.replace(escaping, `${escape === '$' ? '$$' : escape}$&`) : text) + quote;
  };
}

function bareField(dialect: CsvDialect): FieldFormatter {
  const special = characterClass(dialect.delimiter, '\r', '\n', '\0');
  const readAsNull = wordsReadAsNull(dialect);
  return (text, index) => {
    if (special.test(text)) {
      if (text.includes('\0')) throw holdsNul(index);
      throw needsQuoting(index, 'holds a delimiter or a line break');
    }
    refuseMisread(text, index, dialect, readAsNull);
    return text;
  };
}

const letters: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

function backslashField(dialect: CsvDialect): FieldFormatter {
  const special = new RegExp(characterClass(dialect.delimiter, '\\', '\0', ...Object.keys(letters)).source, 'g');
  const readAsNull = wordsReadAsNull(dialect);
  return (text, index) => {
    const escaped = text.replace(special, (character) => {
      if (character === '\0') throw holdsNul(index);
      return letters[character] ?? `\\${character}`;
    });
    if (escaped === text) refuseMisread(text, index, dialect, readAsNull);
    return escaped;
  };
}

/** Texts a reader with this dialect takes for no value; without quotes the empty text is let pass as such. */
function wordsReadAsNull(dialect: CsvDialect): Set<string> {
  const words = new Set([...dialect.nullWords, dialect.nullText]);
  if (dialect.quote === null) words.delete('');
  return words;
}

function refuseMisread(text: string, index: number, dialect: CsvDialect, readAsNull: ReadonlySet<string>): void {
  if (readAsNull.has(text)) throw needsQuoting(index, 'reads like the word for no value');
  if (dialect.trim && text.trim() !== text) throw needsQuoting(index, 'begins or ends with white space');
}

function needsQuoting(index: number, why: string): InputError {
  const message = `field ${index + 1} ${why} and cannot be written without quotes; give the CSV options a quote character`;
  return new InputError('value-needs-quoting', message, { at: `field ${index + 1}` });
}

function holdsNul(index: number): InputError {
  const message = `field ${index + 1} holds a NUL character, which delimited text cannot carry`;
  return new InputError('value-not-writable', message, { at: `field ${index + 1}` });
}

/** Matches any of the characters. */
function characterClass(...characters: string[]): RegExp {
  const hex = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return new RegExp(`[${characters.map(hex).join('')}]`);
}

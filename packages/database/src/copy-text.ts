// COPY's text format: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
const specials = /[\\\t\n\r]/g;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** Searches for one character each are faster than one regular expression for all four. */
function isSpecial(value: string): boolean {
  return value.includes('\\') || value.includes('\t') || value.includes('\n') || value.includes('\r');
}

/**
 * One line of COPY's text format, line feed included. `null` and `undefined` become NULL; '' stays an empty string.
 * A NUL character, which PostgreSQL text cannot hold, is the caller's to reject: the server would refuse the whole COPY.
 */
export function encodeCopyText(values: readonly (string | null | undefined)[]): string {
  let line = '';
  for (let index = 0; index < values.length; index += 1) {
    if (index > 0) line += '\t';
    const value = values[index];
    if (value === null || value === undefined) line += '\\N';
    else line += isSpecial(value) ? value.replace(specials, (character) => escapes[character] ?? character) : value;
  }
  return `${line}\n`;
}

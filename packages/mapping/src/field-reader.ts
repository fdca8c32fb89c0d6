import type { CsvDialect } from '@millrace/domain';

/** An apostrophe that writing put before what a spreadsheet takes for a formula. */
const guarded = /^''*[=+\-@\t\r\n]/;

/**
 * What stands in a field: its text; `null` for an explicit "no value" (empty, quoted or not, or an unquoted null word);
 * `undefined` where the row has no such field.
 */
export type FieldReader = (
  row: readonly string[],
  position: number,
  quoted: Uint8Array | undefined,
) => string | null | undefined;

export function fieldReader(
  dialect: Pick<CsvDialect, 'nullWords' | 'trim'> & Partial<Pick<CsvDialect, 'formulaGuard'>>,
): FieldReader {
  const { trim, formulaGuard = false } = dialect;
  const nullWords = new Set(dialect.nullWords);
  const longest = Math.max(0, ...dialect.nullWords.map((word) => word.length));
  return (row, position, quoted) => {
    let text = row[position];
    if (text === undefined) return undefined;
    if (trim) text = text.trim();
    if (text === '') return null;
    if (text.length <= longest && nullWords.has(text) && quoted?.[position] !== 1) return null;
    return formulaGuard && guarded.test(text) ? text.slice(1) : text;
  };
}

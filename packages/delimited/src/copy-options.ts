import type { CsvDialect } from '@millrace/domain';
import { checkWritable, isBackslashText } from './dialect.js';

/** Options of PostgreSQL's `COPY ... TO STDOUT`, as plain strings. */
export interface CopyOptions {
  readonly format: 'csv' | 'text';
  readonly delimiter: string;
  /** What stands for NULL. */
  readonly null: string;
  /** For `csv` only. */
  readonly quote?: string;
  /** For `csv` only; the quote itself where quotes are doubled. */
  readonly escape?: string;
  /** For `csv` only: `FORCE_QUOTE *`. */
  readonly forceQuoteAll?: boolean;
}

/**
 * The options with which COPY writes the very bytes `rowFormatter` writes, in UTF-8 and without header (COPY cuts column
 * names at 63 bytes); undefined where it cannot. The charset is no hindrance: `CharsetEncoder` follows either way.
 *
 * It cannot: guard formulas, end lines with CRLF, use a delimiter or quote of more than one byte, leave fields bare without any escape,
 * or protect texts that read like a null word other than its own NULL or that a trimming reader would change.
 *
 * @throws InputError `dialect-invalid`
 */
export function copyOptions(dialect: CsvDialect): CopyOptions | undefined {
  checkWritable(dialect);
  const { delimiter, quote, nullText, nullWords } = dialect;
  if (dialect.lineEnding !== 'lf' || !isAscii(delimiter) || dialect.formulaGuard) return undefined;
  const forceQuoteAll = dialect.quotePolicy === 'all';
  if (isBackslashText(dialect)) {
    const isProtected = [...nullWords, nullText].every((word) => word === '' || word === '\\N');
    return isProtected && !dialect.trim ? { format: 'text', delimiter, null: nullText } : undefined;
  }
  if (quote === null || !isAscii(quote)) return undefined;
  const needsMoreQuotes = dialect.trim || nullWords.some((word) => word !== nullText);
  if (needsMoreQuotes && !forceQuoteAll) return undefined;
  const escape = dialect.escape === 'backslash' ? '\\' : quote;
  return { format: 'csv', delimiter, null: nullText, quote, escape, forceQuoteAll };
}

function isAscii(character: string): boolean {
  return character.charCodeAt(0) < 0x80;
}

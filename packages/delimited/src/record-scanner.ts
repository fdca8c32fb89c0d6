import type { CsvDialect } from '@millrace/domain';
import { maxRecordOf } from './dialect.js';
import { RecordParser } from './record-parser.js';
import type { BadRowCode, ParsedRow } from './row.js';
import { NONE, type TextWindow } from './text-window.js';

const rawLimit = 4096;
const byteOrderMark = 0xfeff;

/**
 * Cuts the text of a window into rows.
 *
 * Nearly every line is plain or has whole fields in quotes: those are cut with `indexOf` alone. What else there is
 * (line breaks and stray quotes in fields, backslashes, NUL, undecodable bytes) goes through `RecordParser`.
 *
 * **A broken record costs its first line.** When a quote never closes, closes in the wrong place, or the record
 * outgrows its limit, the record's first physical line is rejected and reading goes on with the next line. What
 * follows may be the inside of a quoted field, so until the place of the fault has been passed and one row has been
 * judged, lines are read strictly: exact number of fields, no quote outside a quoted field. Read strictly, a line
 * inside a fault is looked at twice and no more (where it ends follows from the parity of its quotes), so the whole
 * stays linear in time.
 *
 * What comes out does not depend on how the text was cut into pieces.
 */
export class RecordScanner {
  /** Number of fields of a right row; undefined until the first row or header is known. */
  columns: number | undefined;
  /** Physical line of the next character, from 1. */
  line = 1;
  /** Empty lines passed while `columns` was not known. */
  leadingBlankLines = 0;

  readonly #window: TextWindow;
  readonly #parser: RecordParser;
  readonly #dialect: CsvDialect;
  readonly #charset: string;
  readonly #maxLength: number;
  /** Whether lines with quotes are cut in the hot path: not where spaces around quotes or backslashes count. */
  readonly #cutsQuotes: boolean;
  readonly #nullWords: ReadonlySet<string> | undefined;
  /** Indexes of the fields of the line just cut whose quotes matter. */
  readonly #ambiguous: number[] = [];
  /** While reading strictly: the place of the fault, counted from the start of the file's text. */
  #suspectUntil: number | undefined;
  /** Passing over the rest of a line too long to be held. */
  #discarding = false;

  constructor(dialect: CsvDialect, window: TextWindow, charset: string) {
    this.#dialect = dialect;
    this.#window = window;
    this.#charset = charset;
    this.#maxLength = maxRecordOf(dialect);
    this.#cutsQuotes = !dialect.trim && dialect.escape === 'doubled';
    this.#nullWords = dialect.nullWords.length === 0 ? undefined : new Set(dialect.nullWords);
    this.#parser = new RecordParser(dialect, window);
  }

  /**
   * Adds rows to `rows` until it holds `limit` of them or the window holds no further whole row.
   * @returns whether it stopped at the limit, so that more may be ready
   */
  scan(rows: ParsedRow[], limit: number): boolean {
    for (;;) {
      if (this.#discarding && !this.#discard()) return false;
      if (this.columns !== undefined && this.#suspectUntil === undefined) this.#scanPlainLines(rows, limit);
      if (rows.length >= limit) return true;
      if (!this.#scanRecord(rows)) return false;
    }
  }

  /** Passes over one physical line without looking at quotes; false where its end is not in the window. */
  skipLine(): boolean {
    const window = this.#window;
    const end = window.nextBreak(window.position);
    const next = end === NONE ? NONE : window.afterBreak(end);
    if (next === NONE && !window.final) {
      // Nothing of a skipped line is needed: hold no more of it than a CR whose LF may follow.
      window.position = end === NONE ? window.text.length : end;
      return false;
    }
    window.position = next === NONE ? window.text.length : next;
    this.line += 1;
    return true;
  }

  /**
   * The hot path: lines that are rows, with quotes only where they enclose a field without line breaks. Stops before the
   * first line that has something special, and before one that is not whole.
   */
  #scanPlainLines(rows: ParsedRow[], limit: number): void {
    const window = this.#window;
    const { text } = window;
    const { length } = text;
    const { delimiter, trim } = this.#dialect;
    const maxLength = this.#maxLength;
    const columns = this.columns as number;
    let start = window.position;
    let line = this.line;
    const special = window.nextSpecial(start);
    let lineFeed = window.nextLineFeed(start);
    let carriageReturn = window.nextCarriageReturn(start);
    let next = window.nextDelimiter(start);
    while (rows.length < limit) {
      const end = lineFeed < carriageReturn ? lineFeed : carriageReturn;
      if (end > special || end === NONE || end - start > maxLength) break;
      let after = end + 1;
      if (end === carriageReturn) {
        if (lineFeed === after) after += 1;
        else if (after === length && !window.final) break;
      }
      if (end !== start || columns === 1) {
        const fields: string[] = [];
        let quoted: Uint8Array | undefined;
        if (window.nextQuote(start) < end) {
          if (!this.#cutsQuotes || !this.#cutQuotedLine(fields, start, end)) break;
          if (this.#ambiguous.length > 0) quoted = this.#takeQuoted(fields.length);
          if (next < after) next = window.nextDelimiter(after);
        } else {
          let from = start;
          while (next < end) {
            fields.push(text.substring(from, next));
            from = next + 1;
            next = text.indexOf(delimiter, from);
            if (next === -1) next = NONE;
          }
          fields.push(text.substring(from, end));
          if (trim)
            for (let index = 0; index < fields.length; index++) fields[index] = (fields[index] as string).trim();
        }
        const { length: count } = fields;
        if (count === columns || !this.#isWrongCount(count)) {
          if (count > columns) fields.length = columns;
          rows.push({ kind: 'row', line, fields, quoted });
        } else {
          rows.push(this.#badCount(count, line, start, end));
        }
      }
      line += 1;
      start = after;
      if (lineFeed < start) {
        lineFeed = text.indexOf('\n', start);
        if (lineFeed === -1) lineFeed = NONE;
      }
      if (carriageReturn < start) {
        carriageReturn = text.indexOf('\r', start);
        if (carriageReturn === -1) carriageReturn = NONE;
      }
    }
    this.line = line;
    window.position = start;
    window.remember(lineFeed, carriageReturn, next);
  }

  /** Adds the fields of a line to `fields`; returns false where the line is more than a row of plain and quoted fields. */
  #cutQuotedLine(fields: string[], start: number, end: number): boolean {
    const window = this.#window;
    const { text } = window;
    const quote = this.#dialect.quote as string;
    const quoteCode = quote.charCodeAt(0);
    const delimiterCode = this.#dialect.delimiter.charCodeAt(0);
    const ambiguous = this.#ambiguous;
    ambiguous.length = 0;
    for (let at = start; ; at++) {
      if (text.charCodeAt(at) === quoteCode) {
        let value = '';
        let from = at + 1;
        let close = text.indexOf(quote, from);
        for (;;) {
          if (close === -1 || close >= end) return false;
          at = close + 1;
          if (text.charCodeAt(at) !== quoteCode || at === end) break;
          value += text.substring(from, at);
          from = at + 1;
          close = text.indexOf(quote, from);
        }
        const last = text.substring(from, close);
        value = value === '' ? last : value + last;
        if (at !== end && text.charCodeAt(at) !== delimiterCode) return false;
        if (value === '' || this.#nullWords?.has(value) === true) ambiguous.push(fields.length);
        fields.push(value);
      } else {
        const delimiter = window.nextDelimiter(at);
        const stop = delimiter < end ? delimiter : end;
        if (window.nextQuote(at) < stop) return false;
        fields.push(text.substring(at, stop));
        at = stop;
      }
      if (at === end) return true;
    }
  }

  #takeQuoted(length: number): Uint8Array {
    const quoted = new Uint8Array(length);
    for (const index of this.#ambiguous) quoted[index] = 1;
    return quoted;
  }

  /** One record of any kind. Returns false where the window does not hold all of it. */
  #scanRecord(rows: ParsedRow[]): boolean {
    const window = this.#window;
    const parser = this.#parser;
    // Where files were put behind one another, each brings its own; it is no part of the first field, and hides its quote.
    while (window.text.charCodeAt(window.position) === byteOrderMark) window.position += 1;
    const start = window.position;
    if (start >= window.text.length) return false;
    window.mark(start);
    const suspect = this.#suspectUntil !== undefined;
    const pastFault = suspect && window.absolute(start) >= (this.#suspectUntil as number);
    const outcome = parser.parse(start, suspect);
    if (outcome === 'starved') return false;
    if (outcome === 'broken') {
      const isNewFault = !parser.strictOnly && parser.sawQuote;
      if (!this.#rejectFirstLine(rows, parser.code, parser.column)) return false;
      if (isNewFault) this.#suspect(parser.faultAt);
      else if (pastFault) this.#suspectUntil = undefined;
      return true;
    }

    const { columns } = this;
    const { end, next, lineBreaks } = parser;
    const count = parser.fields.length;
    if (end === start && columns !== 1) {
      if (columns === undefined) this.leadingBlankLines += 1;
    } else if (columns !== undefined && (this.#isWrongCount(count) || (suspect && !pastFault && count !== columns))) {
      const { sawQuote } = parser;
      if (lineBreaks > 0) {
        const isRow = this.#isSecondLineARow(columns);
        if (isRow === undefined) return false;
        window.rewind(next);
        if (isRow) {
          this.#rejectFirstLine(rows, count < columns ? 'too-few-fields' : 'too-many-fields', 0, count);
          this.#suspect(end);
          return true;
        }
      }
      rows.push(this.#badCount(count, this.line, start, end));
      if (pastFault && sawQuote) this.#suspectUntil = undefined;
    } else {
      this.#emit(rows, start);
      if (pastFault) this.#suspectUntil = undefined;
    }
    window.position = next;
    this.line += lineBreaks + 1;
    return true;
  }

  #suspect(faultAt: number): void {
    this.#suspectUntil = Math.max(this.#suspectUntil ?? 0, this.#window.absolute(faultAt));
  }

  /**
   * After a record of several lines with a wrong number of fields: does its second line, read as a row of its own, have
   * the right number? Then a quote that was left open has swallowed it and happened to close further on.
   * Undefined where the window does not hold enough to know.
   */
  #isSecondLineARow(columns: number): boolean | undefined {
    const window = this.#window;
    const second = window.afterBreak(window.markedBreak);
    window.rewind(second);
    const outcome = this.#parser.parse(second, true);
    if (outcome === 'starved') return undefined;
    return outcome === 'whole' && this.#parser.fields.length === columns;
  }

  /** Returns false where the end of the line is still to come. The record must be the one just marked. */
  #rejectFirstLine(rows: ParsedRow[], code: BadRowCode, column: number, count = 0): boolean {
    const window = this.#window;
    const start = window.position;
    const end = window.markedBreak;
    const next = end === NONE ? NONE : window.afterBreak(end);
    const { length } = window.text;
    if (next === NONE && !window.final && length - start <= this.#maxLength + 1) return false;
    const lastIndex = end === NONE ? length : end;
    if (count > 0) rows.push(this.#badCount(count, this.line, start, lastIndex));
    else rows.push(this.#bad(code, column, this.#brokenMessage(code, column), this.line, start, lastIndex));
    if (next === NONE && !window.final) {
      window.position = lastIndex;
      this.#discarding = true;
      return true;
    }
    window.position = next === NONE ? length : next;
    window.rewind(window.position);
    this.line += 1;
    return true;
  }

  #discard(): boolean {
    this.#discarding = !this.skipLine();
    return !this.#discarding;
  }

  #emit(rows: ParsedRow[], start: number): void {
    const window = this.#window;
    const { fields, end, quoted } = this.#parser;
    const { line } = this;
    if (window.nextNul(start) < end) {
      const column = fields.findIndex((field) => field.includes('\0')) + 1;
      rows.push(this.#bad('nul', column, `field ${column} holds a NUL character`, line, start, end));
      return;
    }
    const bad = window.badCharacter(start, end);
    if (bad !== undefined) {
      const column = fields.findIndex((field) => field.includes('\ufffd')) + 1;
      const message = `field ${column} holds byte ${bad.bytes} at offset ${bad.byteOffset} of the file, which is not ${this.#charset}`;
      rows.push(this.#bad('bad-charset', column, message, line, start, end));
      return;
    }
    if (this.columns !== undefined && fields.length > this.columns) fields.length = this.columns;
    rows.push({ kind: 'row', line, fields, quoted });
  }

  #isWrongCount(count: number): boolean {
    const columns = this.columns as number;
    return count < columns
      ? this.#dialect.shortRows === 'reject'
      : count > columns && this.#dialect.longRows === 'reject';
  }

  #badCount(count: number, line: number, start: number, end: number): ParsedRow {
    const columns = this.columns as number;
    const code = count < columns ? 'too-few-fields' : 'too-many-fields';
    const message = `the row has ${count} ${count === 1 ? 'field' : 'fields'}, the file has ${columns} ${columns === 1 ? 'column' : 'columns'}`;
    return this.#bad(code, 0, message, line, start, end);
  }

  #brokenMessage(code: BadRowCode, column: number): string {
    switch (code) {
      case 'stray-quote':
        return this.#parser.strictOnly
          ? `field ${column} holds a quote and may belong to the broken row before it`
          : `field ${column} is quoted and goes on after its closing quote; a quote inside must be escaped`;
      case 'unclosed-quote':
        return `the quote that opens field ${column} is not closed within ${this.#maxLength} characters of the row, or not at all`;
      default:
        return `the row is longer than ${this.#maxLength} characters, the most that maxRecordBytes of the CSV options and the service allow`;
    }
  }

  #bad(code: BadRowCode, column: number, message: string, line: number, start: number, end: number): ParsedRow {
    const raw = ownCopy(this.#window.text.slice(start, Math.min(end, start + rawLimit, start + this.#maxLength)));
    return { kind: 'bad', line, column: column === 0 ? undefined : column, code, message, raw };
  }
}

/** A slice keeps the text it was cut from alive; rejected rows are kept longer than that. */
export function ownCopy(slice: string): string {
  return Buffer.from(slice, 'utf16le').toString('utf16le');
}

import type { CsvDialect } from '@millrace/domain';
import { isBackslashText, maxRecordOf } from './dialect.js';
import type { BadRowCode } from './row.js';
import { NONE, type TextWindow } from './text-window.js';

/** whole: the fields stand in the parser; broken: `code`, `column`, `faultAt` do; starved: more text is needed. */
export type Outcome = 'whole' | 'broken' | 'starved';

/** What a letter after a backslash stands for where nothing is quoted (PostgreSQL's text format, MySQL). */
const controls = new Map([
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
]);

/**
 * Reads one record, quotes and escapes included. The result stands in the properties until the next call: one parser
 * per file, no object per record.
 *
 * A field that begins with a quote is quoted; the quote that closes it must be followed by a delimiter or the end of
 * the line. In other fields a quote is a character like any other (`5" pipe`), except when reading strictly.
 */
export class RecordParser {
  fields: string[] = [];
  /** See `GoodRow.quoted`. */
  quoted: Uint8Array | undefined;
  /** Index of the break that ends the record, or of the text's end. */
  end = 0;
  /** Index after that break. */
  next = 0;
  /** Line breaks inside the record. */
  lineBreaks = 0;
  sawQuote = false;
  code: BadRowCode = 'too-long';
  /** Field to blame, from 1. */
  column = 0;
  faultAt = 0;
  /** Broken only because it was read strictly. */
  strictOnly = false;

  readonly #window: TextWindow;
  readonly #quote: string;
  readonly #quoteCode: number;
  readonly #delimiterCode: number;
  readonly #backslash: boolean;
  readonly #backslashText: boolean;
  readonly #trim: boolean;
  readonly #nullWords: ReadonlySet<string> | undefined;
  readonly #maxLength: number;
  #start = 0;
  #at = 0;
  #ambiguous: number[] = [];

  constructor(dialect: CsvDialect, window: TextWindow) {
    this.#window = window;
    this.#quote = dialect.quote ?? '';
    this.#quoteCode = dialect.quote === null ? -1 : dialect.quote.charCodeAt(0);
    this.#delimiterCode = dialect.delimiter.charCodeAt(0);
    this.#backslash = dialect.escape === 'backslash' && dialect.quote !== '\\';
    this.#backslashText = isBackslashText(dialect);
    this.#trim = dialect.trim;
    this.#nullWords = dialect.nullWords.length === 0 ? undefined : new Set(dialect.nullWords);
    this.#maxLength = maxRecordOf(dialect);
  }

  parse(start: number, strict: boolean): Outcome {
    const window = this.#window;
    const { text } = window;
    const { length } = text;
    this.#start = start;
    this.#at = start;
    this.fields = [];
    this.quoted = undefined;
    this.lineBreaks = 0;
    this.sawQuote = false;
    this.strictOnly = false;
    if (this.#ambiguous.length > 0) this.#ambiguous = [];
    for (;;) {
      const outcome = this.#field(strict);
      if (outcome !== 'whole') return outcome;
      const at = this.#at;
      if (at >= length) {
        if (!window.final) return this.#starve('too-long');
        this.end = this.next = length;
        break;
      }
      if (text.charCodeAt(at) !== this.#delimiterCode) {
        this.end = at;
        this.next = window.afterBreak(at);
        if (this.next === NONE) return this.#starve('too-long');
        break;
      }
      this.#at = at + 1;
    }
    if (this.end - start > this.#maxLength) return this.#break('too-long', start + this.#maxLength);
    if (this.#ambiguous.length > 0) {
      this.quoted = new Uint8Array(this.fields.length);
      for (const index of this.#ambiguous) this.quoted[index] = 1;
    }
    return 'whole';
  }

  #field(strict: boolean): Outcome {
    if (this.#backslashText) return this.#escapedField();
    if (this.#quoteCode !== -1) {
      const open = this.#trim ? this.#skipSpace(this.#at) : this.#at;
      if (this.#window.text.charCodeAt(open) === this.#quoteCode) return this.#quotedField(open);
    }
    return this.#plainField(strict);
  }

  #plainField(strict: boolean): Outcome {
    const window = this.#window;
    const at = this.#at;
    const lineEnd = window.nextBreak(at);
    const delimiter = window.nextDelimiter(at);
    let end = delimiter < lineEnd ? delimiter : lineEnd;
    if (end === NONE) {
      if (!window.final) return this.#starve('too-long');
      end = window.text.length;
    }
    if (end - this.#start > this.#maxLength) return this.#break('too-long', this.#start + this.#maxLength);
    const quote = window.nextQuote(at);
    if (quote < end) {
      this.sawQuote = true;
      if (strict) {
        this.strictOnly = true;
        return this.#break('stray-quote', quote);
      }
    }
    const value = window.text.substring(at, end);
    this.fields.push(this.#trim ? value.trim() : value);
    this.#at = end;
    return 'whole';
  }

  #quotedField(open: number): Outcome {
    const window = this.#window;
    const { text } = window;
    const limit = this.#start + this.#maxLength;
    this.sawQuote = true;
    let value = '';
    let from = open + 1;
    let scan = from;
    let close = -1;
    for (;;) {
      if (close < scan) {
        close = text.indexOf(this.#quote, scan);
        if (close === -1) close = NONE;
      }
      if (this.#backslash) {
        const backslash = window.nextBackslash(scan);
        if (backslash < close) {
          if (backslash > limit) return this.#break('unclosed-quote', limit);
          if (backslash + 1 === text.length) {
            return window.final ? this.#break('unclosed-quote', text.length) : this.#starve('unclosed-quote');
          }
          const escaped = text.charCodeAt(backslash + 1);
          scan = backslash + 1;
          if (escaped === this.#quoteCode || escaped === 92) {
            value += text.substring(from, backslash);
            from = scan;
            scan += 1;
          }
          continue;
        }
      }
      if (close === NONE) {
        if (!window.final) return this.#starve('unclosed-quote');
        return this.#break('unclosed-quote', Math.min(limit, text.length));
      }
      if (close > limit) return this.#break('unclosed-quote', limit);
      const after = close + 1;
      if (after === text.length) {
        if (!window.final) return this.#starve('unclosed-quote');
      } else if (!this.#backslash && text.charCodeAt(after) === this.#quoteCode) {
        value += text.substring(from, after);
        from = scan = after + 1;
        continue;
      }
      break;
    }
    const last = text.substring(from, close);
    value = value === '' ? last : value + last;
    if (window.nextBreak(open) < close) this.lineBreaks += window.countBreaks(open, close);

    let after = close + 1;
    if (this.#trim) after = this.#skipSpace(after);
    if (after < text.length) {
      const code = text.charCodeAt(after);
      if (code !== this.#delimiterCode && code !== 10 && code !== 13) return this.#break('stray-quote', close);
    } else if (!window.final) {
      return this.#starve('too-long');
    }
    this.#pushMarked(value);
    this.#at = after;
    return 'whole';
  }

  /** A field of the text form: no quotes, a backslash before what would end the field. */
  #escapedField(): Outcome {
    const window = this.#window;
    const { text } = window;
    const limit = this.#start + this.#maxLength;
    let value = '';
    let from = this.#at;
    let scan = from;
    let escapes = false;
    let end: number;
    for (;;) {
      const lineEnd = window.nextBreak(scan);
      const delimiter = window.nextDelimiter(scan);
      end = delimiter < lineEnd ? delimiter : lineEnd;
      const backslash = window.nextBackslash(scan);
      if (Math.min(end, backslash) > limit && text.length > limit) return this.#break('too-long', limit);
      if (backslash >= end || (backslash + 1 === text.length && window.final)) break;
      // A CR needs the character after it to be known: it may be half of a CRLF.
      if (backslash + 2 >= text.length && !window.final) return this.#starve('too-long');
      const escaped = text[backslash + 1] as string;
      scan = backslash + 2;
      if (escaped === '\n' || escaped === '\r') {
        scan = window.afterBreak(backslash + 1);
        this.lineBreaks += 1;
      }
      const stands = this.#unescape(escaped, text, backslash + 1, scan);
      if (stands === undefined) continue;
      value += text.substring(from, backslash) + stands;
      from = scan;
      escapes = true;
    }
    if (end === NONE) {
      if (!window.final) return this.#starve('too-long');
      end = text.length;
    }
    value += text.substring(from, end);
    this.#at = end;
    if (escapes) this.#pushMarked(value);
    else this.fields.push(this.#trim ? value.trim() : value);
    return 'whole';
  }

  #unescape(escaped: string, text: string, from: number, to: number): string | undefined {
    if (escaped === '\\' || escaped === '\n' || escaped === '\r') return text.substring(from, to);
    // Python's csv module and MySQL protect quotes too, where none are used to enclose.
    if (escaped === '"' || escaped === "'" || escaped.charCodeAt(0) === this.#delimiterCode) return escaped;
    return controls.get(escaped);
  }

  /** Adds a field that stood in quotes (or was escaped): it is text even where it reads like an empty one or a null word. */
  #pushMarked(value: string): void {
    if (value === '' || this.#nullWords?.has(value) === true) this.#ambiguous.push(this.fields.length);
    this.fields.push(value);
  }

  #skipSpace(from: number): number {
    const { text } = this.#window;
    let at = from;
    for (;;) {
      const code = text.charCodeAt(at);
      if ((code !== 32 && code !== 9) || code === this.#delimiterCode) return at;
      at += 1;
    }
  }

  #starve(code: BadRowCode): Outcome {
    if (this.#window.text.length - this.#start <= this.#maxLength + 1) return 'starved';
    return this.#break(code, this.#start + this.#maxLength);
  }

  #break(code: BadRowCode, faultAt: number): Outcome {
    this.code = code;
    this.column = this.fields.length + 1;
    this.faultAt = faultAt;
    return 'broken';
  }
}

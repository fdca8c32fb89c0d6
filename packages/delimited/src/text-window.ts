import type { BadCharacter } from './charset.js';

/** No such character in the window; larger than any index. */
export const NONE = 0x3fffffff;

const STALE = -1;

/**
 * The decoded text between what has become rows and what has not been read, with the next place of each character that
 * matters. A place is searched once and remembered until it has been passed, so that a character which hardly occurs
 * does not cost a search per row.
 */
export class TextWindow {
  text = '';
  /** Index in `text` of the first character that is not yet part of a row. */
  position = 0;
  /** Whether the text ends where the file ends. */
  final = false;

  readonly #delimiter: string;
  readonly #quote: string | null;
  readonly #backslashText: boolean;
  /** Characters of the file before `text`. */
  #base = 0;
  #bad: BadCharacter[] = [];
  #lineFeed = STALE;
  #carriageReturn = STALE;
  #delimiterAt = STALE;
  #quoteAt = STALE;
  #backslash = STALE;
  #nul = STALE;
  #byteOrderMark = STALE;
  #marks = { lineFeed: NONE, carriageReturn: NONE, delimiter: NONE, quote: NONE, backslash: NONE, nul: NONE };

  constructor(options: { delimiter: string; quote: string | null; backslashText: boolean }) {
    this.#delimiter = options.delimiter;
    this.#quote = options.quote;
    this.#backslashText = options.backslashText;
  }

  /** Appends text and forgets what has become rows. `bad` counts its indexes from the start of the added text. */
  add(text: string, final: boolean, bad?: readonly BadCharacter[]): void {
    const rest = this.text.length - this.position;
    this.#base += this.position;
    if (bad !== undefined || this.#bad.length > 0) {
      const firstOfAdded = this.#base + rest;
      this.#bad = this.#bad.filter((character) => character.index >= this.#base);
      for (const { index, byteOffset, bytes } of bad ?? []) {
        this.#bad.push({ index: firstOfAdded + index, byteOffset, bytes });
      }
    }
    this.text = rest === 0 ? text : this.text.slice(this.position) + text;
    this.position = 0;
    this.final = final;
    this.#lineFeed = this.#carriageReturn = this.#delimiterAt = STALE;
    this.#quoteAt = this.#backslash = this.#nul = this.#byteOrderMark = STALE;
  }

  /** Index in the whole file's text; stays valid when the window moves. */
  absolute(index: number): number {
    return this.#base + index;
  }

  nextLineFeed(from: number): number {
    if (this.#lineFeed < from) this.#lineFeed = this.#find('\n', from);
    return this.#lineFeed;
  }

  nextCarriageReturn(from: number): number {
    if (this.#carriageReturn < from) this.#carriageReturn = this.#find('\r', from);
    return this.#carriageReturn;
  }

  nextDelimiter(from: number): number {
    if (this.#delimiterAt < from) this.#delimiterAt = this.#find(this.#delimiter, from);
    return this.#delimiterAt;
  }

  nextQuote(from: number): number {
    if (this.#quoteAt < from) this.#quoteAt = this.#quote === null ? NONE : this.#find(this.#quote, from);
    return this.#quoteAt;
  }

  nextBackslash(from: number): number {
    if (this.#backslash < from) this.#backslash = this.#find('\\', from);
    return this.#backslash;
  }

  nextNul(from: number): number {
    if (this.#nul < from) this.#nul = this.#find('\0', from);
    return this.#nul;
  }

  nextByteOrderMark(from: number): number {
    if (this.#byteOrderMark < from) this.#byteOrderMark = this.#find('\ufeff', from);
    return this.#byteOrderMark;
  }

  /** The first line break at or after `from`. */
  nextBreak(from: number): number {
    const lineFeed = this.nextLineFeed(from);
    const carriageReturn = this.nextCarriageReturn(from);
    return lineFeed < carriageReturn ? lineFeed : carriageReturn;
  }

  /** Where the next line begins after the break at `at`; NONE if that hangs on text still to come (CR, then LF?). */
  afterBreak(at: number): number {
    if (this.text.charCodeAt(at) === 10) return at + 1;
    if (at + 1 === this.text.length && !this.final) return NONE;
    return this.text.charCodeAt(at + 1) === 10 ? at + 2 : at + 1;
  }

  /** Line breaks between two indexes. */
  countBreaks(from: number, to: number): number {
    let count = 0;
    for (let at = this.nextBreak(from); at < to; at = this.nextBreak(this.afterBreak(at))) count += 1;
    return count;
  }

  /** The first character from `from` on that takes a line out of the hot path whatever stands around it: NUL, byte order mark, undecodable byte, escape. */
  nextSpecial(from: number): number {
    let special = Math.min(this.nextNul(from), this.nextByteOrderMark(from));
    if (this.#backslashText) special = Math.min(special, this.nextBackslash(from));
    const bad = this.badCharacter(from, this.text.length);
    return bad === undefined ? special : Math.min(special, bad.index - this.#base);
  }

  /** The first undecodable character between two indexes. */
  badCharacter(from: number, to: number): BadCharacter | undefined {
    if (this.#bad.length === 0) return undefined;
    const first = this.#base + from;
    let low = 0;
    let high = this.#bad.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#bad[middle] as BadCharacter).index < first) low = middle + 1;
      else high = middle;
    }
    const found = this.#bad[low];
    return found !== undefined && found.index < this.#base + to ? found : undefined;
  }

  /** Remembers the next places as seen from `from`, to which `rewind` can then go back. */
  mark(from: number): void {
    const marks = this.#marks;
    marks.lineFeed = this.nextLineFeed(from);
    marks.carriageReturn = this.nextCarriageReturn(from);
    marks.delimiter = this.nextDelimiter(from);
    marks.quote = this.nextQuote(from);
    marks.backslash = this.#backslash < from ? STALE : this.#backslash;
    marks.nul = this.nextNul(from);
  }

  /** The first line break at or after the mark. */
  get markedBreak(): number {
    return Math.min(this.#marks.lineFeed, this.#marks.carriageReturn);
  }

  /** Goes back to an index at or after the mark; what the mark saw beyond it need not be searched again. */
  rewind(to: number): void {
    const marks = this.#marks;
    const kept = (place: number): number => (place >= to ? place : STALE);
    this.#lineFeed = kept(marks.lineFeed);
    this.#carriageReturn = kept(marks.carriageReturn);
    this.#delimiterAt = kept(marks.delimiter);
    this.#quoteAt = kept(marks.quote);
    this.#backslash = kept(marks.backslash);
    this.#nul = kept(marks.nul);
  }

  /** Takes over places that a loop of its own has found: each the first from `position` on, or before it. */
  remember(lineFeed: number, carriageReturn: number, delimiter: number): void {
    this.#lineFeed = lineFeed;
    this.#carriageReturn = carriageReturn;
    this.#delimiterAt = delimiter;
  }

  #find(character: string, from: number): number {
    const found = this.text.indexOf(character, from);
    return found === -1 ? NONE : found;
  }
}

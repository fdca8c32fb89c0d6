import { Transform, type TransformCallback } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { InputError, type Charset } from '@millrace/domain';
import { windows1252Byte } from './windows-1252.js';

export interface EncoderOptions {
  /** What to do with a character the charset does not have: end with an error (default), or write `?` and count it. */
  readonly unencodable?: 'fail' | 'replace';
}

const marks: Readonly<Partial<Record<Charset, Buffer>>> = {
  'utf-8-bom': Buffer.from([0xef, 0xbb, 0xbf]),
  'utf-16le': Buffer.from([0xff, 0xfe]),
  'utf-16be': Buffer.from([0xfe, 0xff]),
};

/**
 * Turns strings, or UTF-8 bytes as COPY writes them, into a charset; UTF-16 and `utf-8-bom` begin with a byte order mark.
 * Ends with InputError `not-encodable` naming the character, unless told to replace.
 */
export class CharsetEncoder extends Transform {
  /** Characters written as `?`. */
  replaced = 0;

  readonly #charset: Charset;
  readonly #replaces: boolean;
  readonly #decoder = new StringDecoder('utf8');
  #begun = false;

  constructor(charset: Charset, options: EncoderOptions = {}) {
    super({ decodeStrings: false });
    this.#charset = charset;
    this.#replaces = options.unencodable === 'replace';
  }

  override _transform(chunk: Buffer | string, _encoding: BufferEncoding, callback: TransformCallback): void {
    try {
      this.#begin(chunk);
      if (typeof chunk !== 'string' && (this.#charset === 'utf-8' || this.#charset === 'utf-8-bom')) this.push(chunk);
      else this.#write(typeof chunk === 'string' ? chunk : this.#decoder.write(chunk));
      callback();
    } catch (error) {
      callback(error as Error);
    }
  }

  override _flush(callback: TransformCallback): void {
    try {
      this.#begin('');
      this.#write(this.#decoder.end());
      callback();
    } catch (error) {
      callback(error as Error);
    }
  }

  #begin(chunk: Buffer | string): void {
    if (this.#begun) return;
    this.#begun = true;
    const mark = marks[this.#charset];
    if (mark !== undefined) this.push(mark);
    // A text that itself begins with U+FEFF would lose it as a mark: one more keeps it.
    else if (this.#charset === 'utf-8' && chunk.length > 0 && beginsWithMark(chunk)) this.push(marks['utf-8-bom']);
  }

  #write(text: string): void {
    if (text === '') return;
    switch (this.#charset) {
      case 'utf-8':
      case 'utf-8-bom':
        this.push(Buffer.from(this.#wellFormed(text)));
        return;
      case 'utf-16le':
        this.push(Buffer.from(this.#wellFormed(text), 'utf16le'));
        return;
      case 'utf-16be':
        this.push(Buffer.from(this.#wellFormed(text), 'utf16le').swap16());
        return;
      case 'iso-8859-1':
        this.push(
          Buffer.from(
            text.replace(beyondLatin1, (character) => this.#unencodable(character)),
            'latin1',
          ),
        );
        return;
      case 'windows-1252':
        this.push(
          Buffer.from(
            text.replace(beyondWindows1252, (character) => {
              const byte = windows1252Byte(character);
              return byte === undefined ? this.#unencodable(character) : String.fromCharCode(byte);
            }),
            'latin1',
          ),
        );
    }
  }

  #wellFormed(text: string): string {
    if (!loneSurrogate.test(text)) return text;
    return text.replace(loneSurrogates, (unit) => this.#unencodable(unit));
  }

  #unencodable(character: string): string {
    if (!this.#replaces) {
      const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
      const message = `the character U+${code} cannot be written in ${this.#charset}; choose UTF-8, or let such characters be replaced`;
      throw new InputError('not-encodable', message, { at: 'csv.charset' });
    }
    this.replaced += 1;
    return '?';
  }
}

const beyondLatin1 = /[^\0-\xff]/gu;
const beyondWindows1252 = /[^\0-\x7f\xa0-\xff]/gu;
const loneSurrogate = /[\ud800-\udfff]/u;
const loneSurrogates = /[\ud800-\udfff]/gu;

function beginsWithMark(chunk: Buffer | string): boolean {
  if (typeof chunk === 'string') return chunk.startsWith('\ufeff');
  return chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
}

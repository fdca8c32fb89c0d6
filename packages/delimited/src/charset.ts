import { isAscii, isUtf8, transcode } from 'node:buffer';
import type { Charset } from '@millrace/domain';
import { windows1252Text } from './windows-1252.js';

/** Bytes that stand for no character in their charset; the text holds U+FFFD in their place. */
export interface BadCharacter {
  /** Index in the decoded text. */
  index: number;
  /** Offset of the first byte from the start of the source. */
  byteOffset: number;
  /** The bytes in hexadecimal, such as `E9`. */
  bytes: string;
}

export interface DecodedText {
  text: string;
  /** In order of index; in UTF-8 the first of each line, which is enough to reject its row. */
  bad: BadCharacter[] | undefined;
}

/** Decodes a file piece by piece; a character cut in two by a piece's end waits for the next piece. */
export interface PieceDecoder {
  decode(piece: Buffer, final: boolean): DecodedText;
}

/** The charset a file's first bytes announce, and how many bytes of it are the byte order mark. */
export function charsetOf(head: Buffer, declared: Charset): { charset: Charset; markBytes: number } {
  if (head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf) return { charset: 'utf-8', markBytes: 3 };
  if (head[0] === 0xff && head[1] === 0xfe) return { charset: 'utf-16le', markBytes: 2 };
  if (head[0] === 0xfe && head[1] === 0xff) return { charset: 'utf-16be', markBytes: 2 };
  return { charset: declared, markBytes: 0 };
}

/** @param offset bytes of the source before the first piece (the byte order mark) */
export function createDecoder(charset: Charset, offset: number): PieceDecoder {
  switch (charset) {
    case 'utf-8':
    case 'utf-8-bom':
      return new Utf8Decoder(offset);
    case 'utf-16le':
      return new Utf16Decoder(offset, false);
    case 'utf-16be':
      return new Utf16Decoder(offset, true);
    case 'iso-8859-1':
      return { decode: (piece) => ({ text: piece.toString('latin1'), bad: undefined }) };
    case 'windows-1252':
      return new Windows1252Decoder(offset);
  }
}

const nothing = Buffer.alloc(0);

class Utf8Decoder implements PieceDecoder {
  #tail: Buffer = nothing;
  #offset: number;

  constructor(offset: number) {
    this.#offset = offset;
  }

  decode(piece: Buffer, final: boolean): DecodedText {
    const bytes = this.#tail.length === 0 ? piece : Buffer.concat([this.#tail, piece]);
    const end = final ? bytes.length : wholeCharacters(bytes);
    this.#tail = bytes.subarray(end);
    const body = end === bytes.length ? bytes : bytes.subarray(0, end);
    const offset = this.#offset;
    this.#offset += end;
    if (isAscii(body)) return { text: body.toString('latin1'), bad: undefined };
    if (isUtf8(body)) return { text: utf8Text(body), bad: undefined };
    return decodeDamagedUtf8(body, offset);
  }
}

/** Through UTF-16 is three times as fast as Buffer's own decoding where a piece is not plain ASCII. */
function utf8Text(bytes: Buffer): string {
  return transcode === undefined ? bytes.toString('utf8') : transcode(bytes, 'utf8', 'utf16le').toString('utf16le');
}

/** Length without a character that the end of the bytes may have cut. */
function wholeCharacters(bytes: Buffer): number {
  const { length } = bytes;
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back] as number;
    if (byte < 0x80) return length;
    if (byte >= 0xc0) return utf8Length(byte) > back ? length - back : length;
  }
  return length;
}

function utf8Length(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

/** Bytes from `at` that form one character, or minus the number of bytes that can form none. */
function utf8Step(bytes: Buffer, at: number): number {
  const lead = bytes[at] as number;
  const length = utf8Length(lead);
  if (length === 1) return 1;
  if (length === 0) return -1;
  for (let next = 1; next < length; next++) {
    const byte = bytes[at + next] ?? 0;
    let low = 0x80;
    let high = 0xbf;
    if (next === 1) {
      if (lead === 0xe0) low = 0xa0;
      else if (lead === 0xed) high = 0x9f;
      else if (lead === 0xf0) low = 0x90;
      else if (lead === 0xf4) high = 0x8f;
    }
    if (byte < low || byte > high) return -next;
  }
  return length;
}

function decodeDamagedUtf8(bytes: Buffer, offset: number): DecodedText {
  const bad: BadCharacter[] = [];
  const parts: string[] = [];
  let length = 0;
  let from = 0;
  let at = 0;
  while (at < bytes.length) {
    const step = utf8Step(bytes, at);
    if (step > 0) {
      at += step;
      continue;
    }
    const before = bytes.toString('utf8', from, at);
    parts.push(before, '\ufffd');
    length += before.length;
    if (bad.length === 0 || /[\r\n]/.test(before)) {
      bad.push({ index: length, byteOffset: offset + at, bytes: hex(bytes.subarray(at, at - step)) });
    }
    length += 1;
    at -= step;
    from = at;
  }
  parts.push(bytes.toString('utf8', from));
  return { text: parts.join(''), bad };
}

class Utf16Decoder implements PieceDecoder {
  #tail: Buffer = nothing;
  #offset: number;
  readonly #swapped: boolean;

  constructor(offset: number, swapped: boolean) {
    this.#offset = offset;
    this.#swapped = swapped;
  }

  decode(piece: Buffer, final: boolean): DecodedText {
    const bytes = this.#tail.length === 0 ? piece : Buffer.concat([this.#tail, piece]);
    let end = bytes.length - (bytes.length % 2);
    const highByte = bytes[end - (this.#swapped ? 2 : 1)] ?? 0;
    if (!final && end >= 2 && highByte >= 0xd8 && highByte <= 0xdb) end -= 2;
    this.#tail = bytes.subarray(end);
    const body = this.#swapped ? Buffer.from(bytes.subarray(0, end)).swap16() : bytes.subarray(0, end);
    const offset = this.#offset;
    this.#offset += end;
    let text = body.toString('utf16le');
    const bad: BadCharacter[] = [];
    if (loneSurrogate.test(text)) {
      text = text.replace(loneSurrogates, (unit, index: number) => {
        const bytesOfUnit = unit.charCodeAt(0).toString(16).toUpperCase();
        bad.push({ index, byteOffset: offset + 2 * index, bytes: bytesOfUnit });
        return '\ufffd';
      });
    }
    if (final && this.#tail.length > 0) {
      bad.push({ index: text.length, byteOffset: offset + end, bytes: hex(this.#tail) });
      text += '\ufffd';
    }
    return { text, bad: bad.length === 0 ? undefined : bad };
  }
}

// In Unicode mode a class of surrogates matches only those without a partner.
const loneSurrogate = /[\ud800-\udfff]/u;
const loneSurrogates = /[\ud800-\udfff]/gu;

class Windows1252Decoder implements PieceDecoder {
  #offset: number;

  constructor(offset: number) {
    this.#offset = offset;
  }

  decode(piece: Buffer): DecodedText {
    const offset = this.#offset;
    this.#offset += piece.length;
    const bad: BadCharacter[] = [];
    const text = windows1252Text(piece.toString('latin1'), (index, byte) => {
      bad.push({ index, byteOffset: offset + index, bytes: hex(Buffer.of(byte)) });
    });
    return { text, bad: bad.length === 0 ? undefined : bad };
  }
}

function hex(bytes: Buffer): string {
  return bytes.toString('hex').toUpperCase();
}

import type { Charset, CsvDialect } from '@millrace/domain';
import type { BadRowCode } from './row.js';

/** Damage to one record. */
export interface Damage {
  readonly what: string;
  /** `undefined`: it is odd, but a good row; `fields` say what comes out. */
  readonly code: BadRowCode | undefined;
  readonly record: (id: string, text: Text) => Buffer;
  readonly fields?: readonly string[];
  readonly charsets?: readonly Charset[];
  readonly dialect?: Partial<CsvDialect>;
  /** Lines that the damage breaks off, counted from the record's own. */
  readonly brokenOff?: readonly number[];
  /** It hides the line breaks behind it up to the next row's quotes or the end. */
  readonly separateNext?: boolean;
}

/** Writes text in the file's charset. */
export type Text = (text: string) => Buffer;

export const charsets: readonly Charset[] = [
  'utf-8',
  'utf-8-bom',
  'utf-16le',
  'utf-16be',
  'iso-8859-1',
  'windows-1252',
];
const utf8: readonly Charset[] = ['utf-8', 'utf-8-bom'];
const utf16: readonly Charset[] = ['utf-16le', 'utf-16be'];
const unicode: readonly Charset[] = [...utf8, ...utf16];
export const smallRecords: Partial<CsvDialect> = { maxRecordBytes: 4096 };

const record =
  (make: (id: string) => string) =>
  (id: string, text: Text): Buffer =>
    text(make(id));

export const damages: readonly Damage[] = [
  {
    what: 'an extra quote in a quoted field',
    code: 'stray-quote',
    record: record((id) => `${id},"Ann "Annie" Lee",Ghent,x`),
  },
  { what: 'text behind a closing quote', code: 'stray-quote', record: record((id) => `${id},"Ann" Lee,Ghent,x`) },
  { what: 'a space behind a closing quote', code: 'stray-quote', record: record((id) => `${id},"Ann" ,Ghent,x`) },
  {
    what: 'a quote escaped by a backslash',
    code: 'stray-quote',
    record: record((id) => `${id},"Ann \\"A\\" Lee",Ghent,x`),
  },
  {
    what: 'a quote that never closes',
    code: 'stray-quote',
    record: record((id) => `${id},Ann,Ghent,"x`),
    separateNext: true,
  },
  {
    what: 'a quote that opens the row and never closes',
    code: 'stray-quote',
    record: record((id) => `"${id},Ann,Ghent,x`),
    separateNext: true,
  },
  {
    what: 'a quoted text with line breaks and quotes',
    code: 'stray-quote',
    record: record((id) => `${id},"a\nb "c" d\ne",Ghent,x`),
    brokenOff: [1, 2],
  },
  {
    what: 'quotes inside an unquoted field',
    code: undefined,
    record: record((id) => `${id},5" pipe,Gh"e"nt,"x"`),
    fields: ['5" pipe', 'Gh"e"nt', 'x'],
  },
  { what: 'a NUL in an unquoted field', code: 'nul', record: record((id) => `${id},A\0nn,Ghent,x`) },
  { what: 'a NUL in a quoted field', code: 'nul', record: record((id) => `${id},"A\0nn",Ghent,x`) },
  { what: 'a row of NULs', code: 'too-few-fields', record: (_, text) => text('\0'.repeat(64)) },
  { what: 'a short row', code: 'too-few-fields', record: record((id) => `${id},Ann,Ghent`) },
  { what: 'a row of one word', code: 'too-few-fields', record: record((id) => id) },
  { what: 'a row of white space', code: 'too-few-fields', record: record(() => ' \t ') },
  { what: 'a row without its last delimiter', code: 'too-few-fields', record: record((id) => `${id},Ann,Ghentx`) },
  {
    what: 'a delimiter in an unquoted field',
    code: 'too-many-fields',
    record: record((id) => `${id},Lee, Ann,Ghent,x`),
  },
  { what: 'a delimiter at the end of the row', code: 'too-many-fields', record: record((id) => `${id},Ann,Ghent,x,`) },
  { what: 'ten thousand delimiters', code: 'too-many-fields', record: record((id) => id + ','.repeat(10_000)) },
  {
    what: 'a line break in an unquoted field',
    code: 'too-few-fields',
    record: record((id) => `${id},An\nn,Ghent,x`),
    brokenOff: [1],
  },
  {
    what: 'a lone CR in an unquoted field',
    code: 'too-few-fields',
    record: record((id) => `${id},An\rn,Ghent,x`),
    brokenOff: [1],
  },
  {
    what: 'a lone CR in a quoted field',
    code: undefined,
    record: record((id) => `${id},"An\rn",Ghent,x`),
    fields: ['An\rn', 'Ghent', 'x'],
  },
  {
    what: 'a field longer than a row may be',
    code: 'too-long',
    record: record((id) => `${id},${'long '.repeat(1000)},Ghent,x`),
    dialect: smallRecords,
  },
  {
    what: 'a quoted field longer than a row may be',
    code: 'unclosed-quote',
    record: record((id) => `${id},"${'long '.repeat(1000)}",Ghent,x`),
    dialect: smallRecords,
  },
  {
    what: 'control characters',
    code: undefined,
    record: record((id) => `${id},\u0001\u0008\u001b,\u000b\u000c,\u001a`),
    fields: ['\u0001\u0008\u001b', '\u000b\u000c', '\u001a'],
  },
  {
    what: 'line separators that are none',
    code: undefined,
    record: record((id) => `${id},a\u0085b,\u00a0c,d`),
    fields: ['a\u0085b', '\u00a0c', 'd'],
    charsets: [...unicode, 'iso-8859-1'],
  },
  {
    what: 'line separators of Unicode',
    code: undefined,
    record: record((id) => `${id},a\u2028b,\u2029c,d`),
    fields: ['a\u2028b', '\u2029c', 'd'],
    charsets: unicode,
  },
  {
    what: 'a replacement character that is text',
    code: undefined,
    record: record((id) => `${id},a\ufffdb,c,d`),
    fields: ['a\ufffdb', 'c', 'd'],
    charsets: unicode,
  },
  {
    what: 'a byte order mark before the row',
    code: undefined,
    record: record((id) => `\ufeff${id},"Ann",Ghent,x`),
    fields: ['Ann', 'Ghent', 'x'],
    charsets: unicode,
  },
  {
    what: 'a byte order mark before a quoted row',
    code: undefined,
    record: record((id) => `\ufeff"${id}","A\nn",Ghent,x`),
    fields: ['A\nn', 'Ghent', 'x'],
    charsets: unicode,
  },
  {
    what: 'a byte order mark inside the row',
    code: undefined,
    record: record((id) => `${id},\ufeffAnn,Gh\ufeffent,x`),
    fields: ['\ufeffAnn', 'Gh\ufeffent', 'x'],
    charsets: unicode,
  },
  { what: 'a byte of ISO-8859-1', code: 'bad-charset', record: withBytes([0xf6]), charsets: utf8 },
  { what: 'a character cut after its first byte', code: 'bad-charset', record: withBytes([0xe2]), charsets: utf8 },
  { what: 'an overlong form', code: 'bad-charset', record: withBytes([0xc0, 0xaf]), charsets: utf8 },
  {
    what: 'half of a surrogate pair in UTF-8',
    code: 'bad-charset',
    record: withBytes([0xed, 0xa0, 0x80]),
    charsets: utf8,
  },
  { what: 'a byte that never occurs in UTF-8', code: 'bad-charset', record: withBytes([0xff]), charsets: utf8 },
  { what: 'half of a surrogate pair', code: 'bad-charset', record: withBytes([0xd8, 0xd8]), charsets: utf16 },
  {
    what: 'the second half of a surrogate pair',
    code: 'bad-charset',
    record: withBytes([0xdc, 0xdc]),
    charsets: utf16,
  },
  { what: 'a byte that is no character', code: 'bad-charset', record: withBytes([0x81]), charsets: ['windows-1252'] },
  {
    what: 'a quoted byte that is no character',
    code: 'bad-charset',
    record: (id, text) => Buffer.concat([text(`${id},"A`), Buffer.from([0x9d]), text('n\nn",Ghent,x')]),
    charsets: ['windows-1252'],
  },
];

function withBytes(bytes: readonly number[]): Damage['record'] {
  return (id, text) => Buffer.concat([text(`${id},J`), Buffer.from(bytes), text('rg,Ghent,x')]);
}

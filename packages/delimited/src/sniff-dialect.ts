import type { Charset, PropertyType } from '@millrace/domain';
import { charsetOf, createDecoder } from './charset.js';
import { guessType, nullWordsSeen, type TypeGuess } from './guess-type.js';
import { splitSample, type Sample } from './split-sample.js';

/** What the bytes are packed in, by their first bytes; undefined for what may be text. */
export type Wrapping = 'gzip' | 'zip';

export interface SniffedColumn {
  readonly type: PropertyType;
  /** How dates stand in the column, such as `DD.MM.YYYY`; only ISO dates can be imported as they are. */
  readonly dateFormat?: string;
  readonly decimalSeparator?: '.' | ',';
}

/** What the head of a file looks like. Proposals: nothing here may overrule what a person has given. */
export interface SniffedDialect {
  readonly charset: Charset;
  readonly byteOrderMark: boolean;
  readonly delimiter: string;
  readonly quote: string | null;
  readonly escape: 'doubled' | 'backslash';
  readonly header: boolean;
  /** Lines before the header or first row. */
  readonly skipLines: number;
  readonly lineEnding: 'lf' | 'crlf' | 'cr' | 'mixed';
  readonly nullWords: readonly string[];
  readonly decimalSeparator: '.' | ',';
  readonly dateFormats: readonly string[];
  readonly columns: readonly SniffedColumn[];
}

/** Rows looked at: what holds for these holds for the file, or the file is not one table. */
const sampleRows = 500;

export function sniffWrapping(head: Uint8Array): Wrapping | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head[0] === 0x50 && head[1] === 0x4b && head[2] === 0x03 && head[3] === 0x04) return 'zip';
  return undefined;
}

/**
 * Proposes CSV options from the first bytes of a plain file. Pure and linear in `head`.
 * @param whole whether `head` is the whole file; otherwise its last, cut line is left aside
 */
export function sniffDialect(head: Buffer, whole: boolean): SniffedDialect {
  const { charset, byteOrderMark, text: decoded } = decode(head, whole);
  const text = whole ? decoded : withoutCutLine(decoded);
  const lineEnding = lineEndingOf(text);
  const named = /^sep=([^\r\n])(?:\r\n|\r|\n|$)/i.exec(text);
  const body = named === null ? text : text.slice(named[0].length);
  const sample = bestSample(body, named?.[1]);
  const skipped = skippedLines(sample);
  const rows = sample.rows.slice(skipped);
  const header = hasHeader(rows);
  const data = header ? rows.slice(1) : rows;
  const nullWords = nullWordsSeen(data);
  const width = rows[0]?.fields.length ?? 0;
  const guesses = Array.from({ length: width }, (_, position) => guessType(data, position, nullWords));
  return {
    charset,
    byteOrderMark,
    delimiter: sample.delimiter,
    quote: sample.quote,
    escape: sample.escape,
    header,
    // The reader passes over Excel's line by itself where no other line stands between it and the rows.
    skipLines: (rows[0]?.line ?? 1) - 1 + (named !== null && skipped > 0 ? 1 : 0),
    lineEnding,
    nullWords,
    decimalSeparator: decimalSeparatorOf(guesses),
    dateFormats: [...new Set(guesses.flatMap(({ dateFormat }) => (dateFormat === undefined ? [] : [dateFormat])))],
    columns: guesses,
  };
}

function decode(head: Buffer, whole: boolean): { charset: Charset; byteOrderMark: boolean; text: string } {
  const marked = charsetOf(head, 'utf-8');
  if (marked.markBytes > 0) {
    const { text } = createDecoder(marked.charset, marked.markBytes).decode(head.subarray(marked.markBytes), whole);
    const charset = marked.charset === 'utf-8' ? 'utf-8-bom' : marked.charset;
    return { charset, byteOrderMark: true, text };
  }
  const charset = unmarkedCharset(head, whole);
  return { charset, byteOrderMark: false, text: createDecoder(charset, 0).decode(head, whole).text };
}

function unmarkedCharset(head: Buffer, whole: boolean): Charset {
  let [even, odd, control] = [0, 0, false];
  head.forEach((byte, index) => {
    if (byte === 0 && index % 2 === 0) even += 1;
    if (byte === 0 && index % 2 === 1) odd += 1;
    if (byte >= 0x80 && byte <= 0x9f) control = true;
  });
  // Text in Latin letters has a zero in every second byte.
  if (odd > head.length / 8 && odd > 4 * even) return 'utf-16le';
  if (even > head.length / 8 && even > 4 * odd) return 'utf-16be';
  const { bad } = createDecoder('utf-8', 0).decode(head, whole);
  if (bad === undefined || bad.length === 0) return 'utf-8';
  const unassigned = head.some((byte) => [0x81, 0x8d, 0x8f, 0x90, 0x9d].includes(byte));
  return control && unassigned ? 'iso-8859-1' : 'windows-1252';
}

function withoutCutLine(text: string): string {
  const end = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r'));
  return end < 0 ? text : text.slice(0, end + 1);
}

function lineEndingOf(text: string): SniffedDialect['lineEnding'] {
  const crlf = text.split('\r\n').length - 1;
  const lf = text.split('\n').length - 1 - crlf;
  const cr = text.split('\r').length - 1 - crlf;
  const kinds = [crlf, lf, cr].filter((count) => count > 0).length;
  if (kinds > 1) return 'mixed';
  return crlf > 0 ? 'crlf' : cr > 0 ? 'cr' : 'lf';
}

const delimiters = [',', ';', '\t', '|', ':'] as const;

/** The delimiter that gives the most rows one and the same number of fields; more fields win where that is even. */
function bestSample(text: string, named: string | undefined): Sample {
  const { quote, escape } = quotingOf(text);
  const candidates = named === undefined ? delimiters : [named];
  let best: { sample: Sample; score: number } | undefined;
  for (const delimiter of candidates) {
    const sample = splitSample(text, { delimiter, quote, escape }, sampleRows);
    const score = consistency(sample);
    if (best === undefined || score > best.score) best = { sample, score };
  }
  return (best as { sample: Sample }).sample;
}

function consistency({ rows, delimiter }: Sample): number {
  const width = commonWidth(rows);
  if (rows.length === 0 || width < 2) return 0;
  const share = rows.filter(({ fields }) => fields.length === width).length / rows.length;
  // A colon divides times, and a comma sentences and decimals, more often than fields.
  const handicap = delimiter === ':' ? 0.3 : 1;
  return share * share * (1 + Math.log2(width) / 10) * handicap;
}

function commonWidth(rows: Sample['rows']): number {
  const counts = new Map<number, number>();
  for (const { fields } of rows) counts.set(fields.length, (counts.get(fields.length) ?? 0) + 1);
  return [...counts].sort((left, right) => right[1] - left[1] || right[0] - left[0])[0]?.[0] ?? 0;
}

function quotingOf(text: string): { quote: string | null; escape: 'doubled' | 'backslash' } {
  const opening = (quote: string): number =>
    [...text.matchAll(new RegExp(`(?:^|[,;\\t|:\\r\\n])${quote}`, 'g'))].length;
  const double = opening('"');
  const single = opening("'");
  if (double === 0 && single > 2 && [...text.matchAll(/'(?:[,;\t|:\r\n]|$)/g)].length * 2 > single)
    return { quote: "'", escape: text.includes("\\'") && !text.includes("''") ? 'backslash' : 'doubled' };
  // COPY's text format and MySQL's: no quotes, backslashes before what would divide, `\\N` for no value.
  if (double === 0 && /\\(?:N(?=[\t\r\n,;|]|$)|[\t\\])/.test(text)) return { quote: null, escape: 'backslash' };
  const backslash = /[^\\]\\"[^,;\t|\r\n]/.test(text) && !/[^,;\t|\r\n]""[^,;\t|\r\n]/.test(text);
  return { quote: '"', escape: backslash ? 'backslash' : 'doubled' };
}

/** Rows at the top that do not belong to the table: titles, notes. */
function skippedLines({ rows }: Sample): number {
  const width = commonWidth(rows);
  const first = rows.findIndex(({ fields }) => fields.length === width);
  return width < 2 || first > 20 ? 0 : Math.max(first, 0);
}

/** A header names: nothing in it is empty, doubled, or looks like a number, date or address. */
function hasHeader(rows: Sample['rows']): boolean {
  const [first, ...rest] = rows;
  if (first === undefined) return true;
  const names = first.fields.map((name) => name.trim());
  if (new Set(names).size !== names.length) return false;
  if (names.some((name) => name === '' || name.length > 120 || /^[+-]?[\d.,:/ -]+$/.test(name) || name.includes('@')))
    return false;
  return !names.some((name, position) => rest.some(({ fields }) => fields[position]?.trim() === name));
}

function decimalSeparatorOf(guesses: readonly TypeGuess[]): '.' | ',' {
  const commas = guesses.filter(({ decimalSeparator }) => decimalSeparator === ',').length;
  return commas > guesses.filter(({ decimalSeparator }) => decimalSeparator === '.').length ? ',' : '.';
}

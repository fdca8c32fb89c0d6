import { Readable } from 'node:stream';
import { readTable, sniffDialect, type SniffedDialect } from '@millrace/delimited';
import {
  csvDialect,
  InputError,
  summariseError,
  type CsvDialect,
  type PreviewedColumn,
  type PreviewedFile,
} from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { proposeMappings } from './propose-mappings.js';
import { readHead, type FileHead, type HeadSource } from './read-head.js';

export interface PreviewFile extends HeadSource {
  readonly alias: string;
  readonly object: HeadSource['object'] & { readonly size: number; readonly lastModified: Date };
  readonly given: Partial<CsvDialect>;
  readonly rows: number;
  readonly catalogue: Catalogue;
}

/**
 * Looks into the head of one file: what its CSV options seem to be, its columns, and its first rows as they would be
 * read. A given option is never overruled; where it does not fit, the result says so.
 * @throws TransientError, and InputError where the store refuses
 */
export async function previewFile(options: PreviewFile): Promise<PreviewedFile> {
  const { alias, object, given } = options;
  const about = { alias, key: object.key, size: object.size, lastModified: object.lastModified.toISOString() };
  const nothing = { wrapping: [], bytesRead: 0, whole: false, proposals: [], dateFormats: [], columns: [], rows: [] };
  let head: FileHead;
  try {
    head = await readHead(options);
  } catch (error) {
    // A wrong key is a finding about this file; a store that refuses is none.
    if (!(error instanceof InputError && /^(pgp|gzip|zip)-/.test(error.code))) throw error;
    return { ...about, ...nothing, problem: summariseError(error) };
  }
  const { wrapping, bytesRead, whole } = head;
  const looked = { ...about, ...nothing, wrapping: [...wrapping], bytesRead, whole };
  const sniffed = sniffDialect(head.plain, whole);
  const proposed = proposalsOf(sniffed);
  const dialect = csvDialect.parse({ ...proposed, ...given });
  const proposals = Object.entries(proposed).map(([option, value]) => {
    const asGiven = given[option as keyof CsvDialect];
    const used = asGiven === undefined || JSON.stringify(asGiven) === JSON.stringify(value);
    return { option, value, ...(asGiven === undefined ? {} : { given: asGiven }), used };
  });
  const detected = {
    ...looked,
    proposals,
    lineEnding: sniffed.lineEnding,
    dateFormats: [...sniffed.dateFormats],
    csv: dialect,
    header: dialect.header,
  };
  try {
    return { ...detected, ...(await readRows(head, dialect, sniffed, options)) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { ...detected, problem: summariseError(error) };
  }
}

function proposalsOf(sniffed: SniffedDialect): Partial<CsvDialect> {
  const { delimiter, quote, escape, header, skipLines, charset, decimalSeparator, nullWords } = sniffed;
  return {
    delimiter,
    quote,
    escape,
    header,
    skipLines,
    charset,
    decimalSeparator,
    nullWords: [...nullWords],
    lineEnding: sniffed.lineEnding === 'crlf' ? 'crlf' : 'lf',
  };
}

/** Text of one field that a preview shows. */
const fieldCharacters = 500;

async function readRows(
  head: FileHead,
  dialect: CsvDialect,
  sniffed: SniffedDialect,
  { rows: wanted, catalogue }: PreviewFile,
): Promise<Pick<PreviewedFile, 'columns' | 'rows'>> {
  const source = Readable.from([head.whole ? head.plain : withoutCutLine(head.plain)], { objectMode: false });
  const table = await readTable(source, dialect);
  // Types were guessed by the proposed options: with others given, columns may be other ones.
  const fits = sniffed.columns.length === table.columns;
  const columns = Array.from({ length: table.columns }, (_, position): PreviewedColumn => {
    const { type, dateFormat } = (fits ? sniffed.columns[position] : undefined) ?? { type: 'string' as const };
    const column = table.header?.[position] ?? String(position + 1);
    return { column, type, ...(dateFormat === undefined ? {} : { dateFormat }) };
  });
  const rows: PreviewedFile['rows'] = [];
  for await (const batch of table.batches) {
    for (const row of batch.rows.slice(0, wanted - rows.length)) {
      if (row.kind === 'bad') rows.push({ line: row.line, problem: { code: row.code, message: row.message } });
      else rows.push({ line: row.line, fields: row.fields.map((text) => text.slice(0, fieldCharacters)) });
    }
    if (rows.length >= wanted) break;
  }
  return { columns: table.header === undefined ? columns : [...proposeMappings(columns, catalogue)], rows };
}

/** A line break byte is one in every charset, given that a lone half of a character at the end is harmless. */
function withoutCutLine(plain: Buffer): Buffer {
  const end = plain.lastIndexOf(0x0a);
  if (end < 0) return plain;
  // In UTF-16 the break has two bytes: little-endian text has its zero behind it.
  return plain.subarray(0, plain[end + 1] === 0 ? end + 2 : end + 1);
}

import { Readable } from 'node:stream';
import { readTable } from '@millrace/delimited';
import { csvDialect, InputError, type CsvDialect } from '@millrace/domain';
import type { ReadRow } from '../stage-file/row-encoders.js';
import { columnKeys } from './column-keys.js';
import { redacted } from './redact.js';
import { rawColumn, reasonColumns } from './reject-file.js';

/** A row of a corrected reject file. */
export interface SentRow {
  /** Line in the file that was sent. */
  readonly line: number;
  /** Key of the source object. */
  readonly name: string;
  /** Its line there; NaN where none is given. */
  readonly sourceLine: number;
  /** The source row by its own columns, in the order of `header`. */
  fieldsOf(header: readonly string[]): Omit<ReadRow, 'line'>;
  /** Name of a column that still holds the mark of a redacted secret. */
  redactedOf(header: readonly string[]): string | undefined;
}

export interface SentFile {
  readonly rows: readonly SentRow[];
  readonly bad: readonly { readonly line: number; readonly code: string; readonly message: string }[];
}

/**
 * Reads a corrected reject file: comma, semicolon or tab, as a spreadsheet may have written it.
 * @param nullWords of the goals concerned
 * @throws InputError `not-a-reject-file` where the first columns are not those of one
 */
export async function readFixedRows(csv: string, nullWords: readonly string[]): Promise<SentFile> {
  const dialect = csvDialect.parse({
    delimiter: delimiterOf(csv),
    nullWords: [...nullWords],
    longRows: 'cut',
  } satisfies Partial<CsvDialect>);
  const table = await readTable(Readable.from([Buffer.from(csv)], { objectMode: false }), dialect);
  const header = table.header ?? [];
  if (reasonColumns.some((name, index) => header[index] !== name))
    throw new InputError(
      'not-a-reject-file',
      `the file must begin with the columns ${reasonColumns.join(', ')}, as the reject file does that was downloaded`,
      { at: 'body' },
    );
  const offset = reasonColumns.length;
  const own = header.slice(offset, header.at(-1) === rawColumn ? -1 : undefined);
  const places = new Map(columnKeys(own).map((key, index) => [key, index + offset]));
  const rows: SentRow[] = [];
  const bad: SentFile['bad'][number][] = [];
  for await (const batch of table.batches) {
    for (const row of batch.rows) {
      if (row.kind === 'bad') {
        bad.push({ line: row.line, code: row.code, message: row.message });
        continue;
      }
      const { fields, quoted } = row;
      const placesOf = (names: readonly string[]): readonly (number | undefined)[] =>
        columnKeys(names).map((key) => places.get(key));
      rows.push({
        line: row.line,
        name: fields[0] ?? '',
        sourceLine: /^\d{1,15}$/.test(fields[1] ?? '') ? Number(fields[1]) : Number.NaN,
        fieldsOf: (names) => {
          const found = placesOf(names);
          return {
            fields: found.map((place) => (place === undefined ? '' : (fields[place] ?? ''))),
            quoted:
              quoted === undefined
                ? undefined
                : Uint8Array.from(found, (place) => (place === undefined ? 0 : (quoted[place] ?? 0))),
          };
        },
        redactedOf: (names) =>
          names[placesOf(names).findIndex((place) => place !== undefined && fields[place] === redacted)],
      });
    }
  }
  return { rows, bad };
}

function delimiterOf(csv: string): string {
  return /^\ufeff?"?#file"?([,;\t])/.exec(csv)?.[1] ?? ',';
}

import { Readable } from 'node:stream';
import { csvDialect, type CsvDialect } from '@millrace/domain';
import { readTable, type ParsedRow, type ReadOptions, type Table } from '../src/index.js';

export type DialectInput = Partial<CsvDialect>;

/** `maxRecordBytes` may be smaller here than the schema allows, so that limits can be tested with short texts. */
export function dialectOf(options: DialectInput = {}): CsvDialect {
  const { maxRecordBytes, ...rest } = options;
  return { ...csvDialect.parse(rest), ...(maxRecordBytes === undefined ? {} : { maxRecordBytes }) };
}

export async function readAll(
  file: string | Buffer,
  options: DialectInput = {},
  readOptions: ReadOptions = {},
): Promise<Omit<Table, 'batches'> & { rows: ParsedRow[] }> {
  const bytes = typeof file === 'string' ? Buffer.from(file) : file;
  const { batches, ...table } = await readTable(Readable.from([bytes]), dialectOf(options), readOptions);
  const rows: ParsedRow[] = [];
  for await (const batch of batches) rows.push(...batch.rows);
  return { ...table, rows };
}

/** Rows in short: `[line, ...fields]`, or `line code` and the blamed field for a bad one. */
export function inShort(rows: readonly ParsedRow[]): (string | readonly unknown[])[] {
  return rows.map((row) =>
    row.kind === 'row'
      ? [row.line, ...row.fields]
      : `${row.line} ${row.code}${row.column === undefined ? '' : ` ${row.column}`}`,
  );
}

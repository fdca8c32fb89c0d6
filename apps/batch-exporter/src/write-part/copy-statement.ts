import { type Sql, sql } from '@millrace/database';
import type { CopyOptions } from '@millrace/delimited';

/** `options` undefined: COPY's own text format, for the rows to be formatted here. */
export function copyStatement(rows: Sql, options: CopyOptions | undefined): Sql {
  if (options === undefined) return sql`COPY (${rows}) TO STDOUT`;
  const list = [sql`DELIMITER ${sql.literal(options.delimiter)}`, sql`NULL ${sql.literal(options.null)}`];
  if (options.format === 'csv') {
    if (options.quote !== undefined) list.push(sql`QUOTE ${sql.literal(options.quote)}`);
    if (options.escape !== undefined) list.push(sql`ESCAPE ${sql.literal(options.escape)}`);
    if (options.forceQuoteAll === true) list.push(sql`FORCE_QUOTE *`);
  }
  const format = options.format === 'csv' ? sql`csv` : sql`text`;
  return sql`COPY (${rows}) TO STDOUT (FORMAT ${format}, ${sql.join(list)})`;
}

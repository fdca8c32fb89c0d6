import type { CsvDialect, PropertyType } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import { splitDatePattern } from './processors/date-pattern.js';

/** PostgreSQL's names for the letters of date patterns: https://www.postgresql.org/docs/current/functions-formatting.html */
const templates: Readonly<Record<string, string>> = {
  yyyy: 'YYYY',
  yy: 'YY',
  MM: 'MM',
  M: 'FMMM',
  dd: 'DD',
  d: 'FMDD',
  HH: 'HH24',
  H: 'FMHH24',
  mm: 'MI',
  ss: 'SS',
  SSS: 'MS',
};

/** What true and false are called: the first of the words that reading takes. */
export function booleanWords(dialect: CsvDialect): readonly [yes: string, no: string] {
  return [dialect.trueWords[0] ?? 'true', dialect.falseWords[0] ?? 'false'];
}

/**
 * `text` is a stored value as text; the stored form stands unless the dialect writes it otherwise. A stored text that is
 * no value of the type, from before the property had it, stands as it is.
 * @throws InputError `bad-date-pattern`
 */
export function scalarText(text: Sql, type: PropertyType, dialect: CsvDialect): Sql {
  switch (type) {
    case 'decimal':
      return dialect.decimalSeparator === '.'
        ? text
        : sql`replace(${text}, '.', ${sql.literal(dialect.decimalSeparator)})`;
    case 'boolean': {
      const [yes, no] = booleanWords(dialect);
      if (yes === 'true' && no === 'false') return text;
      return sql`CASE ${text} WHEN 'true' THEN ${sql.literal(yes)} WHEN 'false' THEN ${sql.literal(no)} ELSE ${text} END`;
    }
    case 'date': {
      const { datePattern } = dialect;
      if (datePattern === undefined) return text;
      const local = sql`(${text})::timestamp`;
      return sql`CASE WHEN pg_input_is_valid(${text}, 'date') THEN ${formatted(local, datePattern, sql`'Z'`)} ELSE ${text} END`;
    }
    case 'timestamp': {
      if (dialect.timestampPattern === undefined) return text;
      return sql`CASE WHEN pg_input_is_valid(${text}, 'timestamptz') THEN ${instantText(sql`(${text})::timestamptz`, dialect)} ELSE ${text} END`;
    }
    case 'string':
    case 'integer':
      return text;
  }
}

/**
 * A `timestamptz` by the dialect's pattern in its time zone, or as stored timestamps are: ISO-8601 in UTC with milliseconds.
 * @throws InputError `bad-date-pattern`
 */
export function instantText(instant: Sql, { timestampPattern, timeZone }: CsvDialect): Sql {
  const utc = sql`(${instant} AT TIME ZONE 'UTC')`;
  if (timestampPattern === undefined) return sql`to_char(${utc}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  if (timeZone === 'UTC') return formatted(utc, timestampPattern, sql`'Z'`);
  const local = sql`(${instant} AT TIME ZONE ${sql.literal(timeZone)})`;
  const ahead = sql`extract(epoch FROM ${local} - ${utc})::integer`;
  const offset = sql`(SELECT CASE WHEN ahead = 0 THEN 'Z' ELSE
    CASE WHEN ahead < 0 THEN '-' ELSE '+' END || to_char(abs(ahead) / 3600, 'FM00') || ':' || to_char(abs(ahead) % 3600 / 60, 'FM00') END
    FROM (SELECT ${ahead} AS ahead) AS zone)`;
  return formatted(local, timestampPattern, offset);
}

/** One `to_char` for what stands between the offsets. */
function formatted(local: Sql, pattern: string, offset: Sql): Sql {
  const pieces: Sql[] = [];
  let template = '';
  const endTemplate = (): void => {
    if (template !== '') pieces.push(sql`to_char(${local}, ${sql.literal(template)})`);
    template = '';
  };
  for (const piece of splitDatePattern(pattern)) {
    if ('literal' in piece) template += `"${piece.literal.replaceAll(/["\\]/g, '\\$&')}"`;
    else if (piece.token === 'XXX') {
      endTemplate();
      pieces.push(offset);
    } else template += templates[piece.token] ?? '';
  }
  endTemplate();
  return sql`(${sql.join(pieces, ' || ')})`;
}

/**
 * An element of a list. Where the dialect has an escape, it stands before each character with which a separator could begin:
 * one that ends an element and the separator behind it must not be read as one that begins earlier.
 */
export function listElement(text: Sql, { list: { separator, escape } }: CsvDialect): Sql {
  if (escape === '') return text;
  const [one, two] = [sql.literal(escape), sql.literal(escape + escape)];
  const [first = ''] = separator;
  return sql`replace(replace(${text}, ${one}, ${two}), ${sql.literal(first)}, ${sql.literal(escape + first)})`;
}

/** Puts the dialect's list brackets around joined elements; NULL stays NULL. */
export function enclose(joined: Sql, { list }: CsvDialect): Sql {
  if (list.open === '' && list.close === '') return joined;
  return sql`${sql.literal(list.open)} || ${joined} || ${sql.literal(list.close)}`;
}

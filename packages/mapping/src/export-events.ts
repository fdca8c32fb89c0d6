import { type CsvDialect, type ExportProfilesGoal, InputError, type PropertyType } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue, CatalogueEventType } from './catalogue.js';
import { instantText, scalarText } from './export-values.js';

/** One set of files of a timeline export: the events of a type, or the rows of one of its nested lists. */
export interface EventSeries {
  readonly type: string;
  readonly list: string | undefined;
  /** By the event type's definition: ids and time first, then its properties in their order. */
  readonly headers: readonly string[];
  /**
   * The rows of the events of the profiles that `profiles`, a query for `profile_id`, holds each once; in no order.
   * Text columns, no parameters.
   */
  rows(profiles: Sql): Sql;
}

/** The columns by which the files are joined with each other and with the profiles. */
const eventHeaders = ['profile_id', 'event_id', 'occurred_at'] as const;
const listHeaders = ['event_id', 'position'] as const;

/**
 * The files of a goal's timeline, in the order of the types' codes, each type before its lists.
 * @throws InputError('event-type-unknown', 'header-repeated') naming the place in the goal
 */
export function compileExportEvents(goal: ExportProfilesGoal, catalogue: Catalogue): readonly EventSeries[] {
  const { timeline, csv } = goal;
  if (timeline === undefined) return [];
  return eventTypesOf(timeline.types, catalogue).flatMap(([code, { id, definition }]): readonly EventSeries[] => {
    const conditions = [
      sql`e.event_type_id = ${sql.integer(id)}`,
      ...(timeline.from === undefined ? [] : [sql`e.occurred_at >= ${sql.literal(timeline.from)}::timestamptz`]),
      ...(timeline.until === undefined ? [] : [sql`e.occurred_at < ${sql.literal(timeline.until)}::timestamptz`]),
    ];
    const events = (profiles: Sql): Sql =>
      sql`FROM (${profiles}) AS chosen JOIN profile.event AS e ON e.profile_id = chosen.profile_id AND ${sql.join(conditions, ' AND ')}`;
    const own: EventSeries = {
      type: code,
      list: undefined,
      headers: headersOf(code, eventHeaders, definition.properties),
      rows: (profiles) =>
        sql`SELECT ${sql.join([
          sql`e.profile_id::text`,
          sql`e.id`,
          instantText(sql`e.occurred_at`, csv),
          ...valuesOf(sql`e.properties`, definition.properties, csv),
        ])} ${events(profiles)}`,
    };
    const lists = definition.lists.map(({ name, properties }): EventSeries => {
      const list = sql`e.lists->${sql.literal(name)}`;
      return {
        type: code,
        list: name,
        headers: headersOf(code, listHeaders, properties),
        rows: (profiles) =>
          sql`SELECT ${sql.join([sql`e.id`, sql`item.position::text`, ...valuesOf(sql`item.value`, properties, csv)])} ${events(profiles)}
          CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(${list}) WHEN 'array' THEN ${list} END) WITH ORDINALITY AS item(value, position)`,
      };
    });
    return [own, ...lists];
  });
}

/**
 * The ids of the event types whose events a goal exports; none without a timeline.
 * @throws InputError('event-type-unknown')
 */
export function exportedEventTypeIds({ timeline }: ExportProfilesGoal, catalogue: Catalogue): readonly number[] {
  return timeline === undefined ? [] : eventTypesOf(timeline.types, catalogue).map(([, { id }]) => id);
}

function eventTypesOf(
  codes: readonly string[] | undefined,
  catalogue: Catalogue,
): readonly (readonly [string, CatalogueEventType])[] {
  const wanted = [...new Set(codes ?? catalogue.eventTypes.keys())].sort();
  return wanted.map((code) => {
    const type = catalogue.eventTypes.get(code);
    if (type === undefined) {
      throw new InputError('event-type-unknown', `the workspace has no event type ${JSON.stringify(code)}`, {
        at: `timeline.types[${codes?.indexOf(code) ?? 0}]`,
      });
    }
    return [code, type] as const;
  });
}

interface TypedName {
  readonly name: string;
  readonly type: PropertyType;
}

function valuesOf(held: Sql, properties: readonly TypedName[], dialect: CsvDialect): readonly Sql[] {
  return properties.map(({ name, type }) => scalarText(sql`${held}->>${sql.literal(name)}`, type, dialect));
}

function headersOf(code: string, leading: readonly string[], properties: readonly TypedName[]): readonly string[] {
  const headers = [...leading, ...properties.map(({ name }) => name)];
  const repeated = headers.find((header, index) => headers.indexOf(header) !== index);
  if (repeated !== undefined) {
    throw new InputError(
      'header-repeated',
      `the files of event type ${JSON.stringify(code)} would have two columns ${JSON.stringify(repeated)}; leave the type out, or rename its property`,
      { at: 'timeline.types' },
    );
  }
  return headers;
}

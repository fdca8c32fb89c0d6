import { InputError, type CsvDialect, type EventMapping, type EventType, type PropertyType } from '@millrace/domain';
import type { Catalogue } from './catalogue.js';
import type { ColumnIndex } from './columns.js';
import { fieldReader } from './field-reader.js';
import type { FieldRejection } from './import-row.js';
import { describeType, jsonString, scalarParser, timestampReader } from './parse-value.js';

export type MappedEvent =
  | {
      readonly kind: 'event';
      readonly id: string;
      /** ISO-8601, UTC */ readonly occurredAt: string;
      /** JSON object as text */ readonly properties: string;
    }
  | ({ readonly kind: 'rejected' } & FieldRejection);

export interface EventRowMapper {
  readonly eventTypeId: number;
  map(fields: readonly string[], quoted: Uint8Array | undefined): MappedEvent;
}

export type MappedItem =
  | { readonly kind: 'item'; /** JSON object as text */ readonly item: string }
  | ({ readonly kind: 'rejected' } & FieldRejection);

export interface ListRowMapper {
  map(fields: readonly string[], quoted: Uint8Array | undefined): MappedItem;
}

const maxEventIdLength = 256;

function eventTypeOf(catalogue: Catalogue, code: string): { readonly id: number; readonly definition: EventType } {
  const eventType = catalogue.eventTypes.get(code);
  if (eventType === undefined)
    throw new InputError('event-type-not-found', `the workspace has no event type ${JSON.stringify(code)}`);
  return eventType;
}

/** Rows of an event file. Throws InputError where the mapping does not fit the file or the event type. */
export function compileEventRow(
  mapping: EventMapping,
  dialect: CsvDialect,
  columns: ColumnIndex,
  catalogue: Catalogue,
): EventRowMapper {
  const { id: eventTypeId, definition } = eventTypeOf(catalogue, mapping.type);
  const idPosition = columns.position(mapping.idColumn);
  const timePosition = columns.position(mapping.occurredAtColumn);
  const mapObject = objectMapper(mapping, definition.properties, `event type ${mapping.type}`, dialect, columns);
  const read = fieldReader(dialect);
  const parseTime = timestampReader(dialect);
  return {
    eventTypeId,
    map(fields, quoted) {
      const id = read(fields, idPosition, quoted);
      if (typeof id !== 'string')
        return { kind: 'rejected', column: mapping.idColumn, code: 'no-event-id', message: 'the event id is empty' };
      if (id.length > maxEventIdLength) {
        return {
          kind: 'rejected',
          column: mapping.idColumn,
          code: 'event-id-too-long',
          message: `the event id is longer than ${maxEventIdLength} characters`,
        };
      }
      const time = read(fields, timePosition, quoted);
      const occurredAt = typeof time === 'string' ? parseTime(time.trim()) : undefined;
      if (occurredAt === undefined) {
        return {
          kind: 'rejected',
          column: mapping.occurredAtColumn,
          code: 'bad-value',
          message: `the event time is not ${describeType('timestamp', false, dialect)}`,
        };
      }
      const properties = mapObject(fields, quoted);
      return typeof properties === 'string'
        ? { kind: 'event', id, occurredAt, properties }
        : { kind: 'rejected', ...properties };
    },
  };
}

/** Rows of a file that become the elements of an event's nested list. */
export function compileListRow(
  mapping: EventMapping,
  list: EventMapping['lists'][number],
  dialect: CsvDialect,
  columns: ColumnIndex,
  catalogue: Catalogue,
): ListRowMapper {
  const { definition } = eventTypeOf(catalogue, mapping.type);
  const listDefinition = definition.lists.find(({ name }) => name === list.name);
  if (listDefinition === undefined) {
    throw new InputError('list-not-found', `event type ${mapping.type} has no list ${JSON.stringify(list.name)}`);
  }
  const mapObject = objectMapper(
    list,
    listDefinition.properties,
    `list ${mapping.type}.${list.name}`,
    dialect,
    columns,
  );
  return {
    map(fields, quoted) {
      const item = mapObject(fields, quoted);
      return typeof item === 'string' ? { kind: 'item', item } : { kind: 'rejected', ...item };
    },
  };
}

function objectMapper(
  { mappings, mapAll }: Pick<EventMapping, 'mappings' | 'mapAll'>,
  definitions: readonly { readonly name: string; readonly type: PropertyType }[],
  owner: string,
  dialect: CsvDialect,
  columns: ColumnIndex,
): (fields: readonly string[], quoted: Uint8Array | undefined) => string | FieldRejection {
  const types = new Map(definitions.map(({ name, type }) => [name, type]));
  const named = new Set(mappings.map(({ property }) => property));
  const present = new Set(mapAll === undefined ? [] : columns.names());
  const others = definitions
    .map(({ name }) => ({ column: `${mapAll?.prefix ?? ''}${name}`, property: name }))
    .filter(({ column, property }) => present.has(column) && !named.has(property));
  const compiled = [...mappings, ...others].map(({ column, property }) => {
    const type = types.get(property);
    if (type === undefined)
      throw new InputError('property-not-found', `${owner} has no property ${JSON.stringify(property)}`);
    return {
      column,
      position: columns.optionalPosition(column),
      key: `${jsonString(property)}:`,
      parse: scalarParser(type, dialect),
      expected: describeType(type, false, dialect),
    };
  });
  const read = fieldReader(dialect);
  return (fields, quoted) => {
    let object = '';
    for (const { column, position, key, parse, expected } of compiled) {
      const text = read(fields, position, quoted);
      if (typeof text !== 'string') continue;
      const value = parse(text);
      if (value === undefined) return { column, code: 'bad-value', message: `the value is not ${expected}` };
      object += object === '' ? key + value : `,${key}${value}`;
    }
    return `{${object}}`;
  };
}

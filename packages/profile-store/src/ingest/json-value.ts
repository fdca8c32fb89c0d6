import { isLosslessNumber } from 'lossless-json';
import type { CatalogueProperty } from '@millrace/mapping';
import { describeType, listParser, scalarParser, type ValueFormat } from '@millrace/mapping';
import type { PropertyType } from '@millrace/domain';

const jsonFormat: ValueFormat = {
  decimalSeparator: '.',
  trueWords: ['true'],
  falseWords: ['false'],
  timeZone: 'UTC',
  list: { separator: ';', open: '', close: '', escape: '\\' },
};

/** The stored JSON text of a value; `null` where it holds none (null, or an empty text). */
export type ConvertedValue =
  { readonly kind: 'value'; readonly json: string | null } | { readonly kind: 'bad'; readonly message: string };

/** The text of a JSON scalar with every digit kept: numbers arrive as `LosslessNumber`. Undefined for objects and arrays. */
function scalarText(value: unknown): string | undefined {
  if (isLosslessNumber(value)) return plainNumber(value.value);
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  return typeof value === 'number' ? plainNumber(String(value)) : undefined;
}

/** Writes an exponent out, digit by digit, so that the number stays exact. */
function plainNumber(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d{1,3})$/.exec(text);
  if (match === null) return text;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length
    ? `${sign}${digits.padEnd(point, '0')}`
    : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** One value of the given type. */
export function convertScalar(value: unknown, type: PropertyType): ConvertedValue {
  if (value === null || value === undefined || value === '') return { kind: 'value', json: null };
  const text = scalarText(value);
  const json = text === undefined ? undefined : scalarParser(type, jsonFormat)(text);
  return json === undefined
    ? { kind: 'bad', message: `the value is not ${describeType(type, false)}` }
    : { kind: 'value', json };
}

/** A value for a property; for a list an array, or a single element. `asList`: the merge rule appends. */
export function convertValue(value: unknown, property: CatalogueProperty, asList: boolean): ConvertedValue {
  if (!property.list && !asList) return convertScalar(value, property.type);
  if (value === null || value === undefined || value === '') return { kind: 'value', json: null };
  if (!Array.isArray(value)) {
    if (typeof value === 'string') {
      const json = listParser(property.type, jsonFormat)(value);
      return json === undefined
        ? { kind: 'bad', message: `the value is not ${describeType(property.type, true)}` }
        : { kind: 'value', json };
    }
    const element = convertScalar(value, property.type);
    return element.kind === 'bad' || element.json === null ? element : { kind: 'value', json: `[${element.json}]` };
  }
  const elements: string[] = [];
  for (const item of value as unknown[]) {
    const element = convertScalar(item, property.type);
    if (element.kind === 'bad') return { kind: 'bad', message: `an element of the list: ${element.message}` };
    if (element.json !== null) elements.push(element.json);
  }
  return { kind: 'value', json: `[${elements.join(',')}]` };
}

import type { CsvDialect, PropertyType } from '@millrace/domain';
import { compileDatePattern, type DateParts } from './processors/date-pattern.js';

/** How text stands for values; the parts of a CSV dialect that reading a value needs. */
export type ValueFormat = Pick<
  CsvDialect,
  'decimalSeparator' | 'trueWords' | 'falseWords' | 'timeZone' | 'datePattern' | 'timestampPattern' | 'list'
>;

/** Turns one text into the JSON text that is stored, or undefined where it is not of the type. */
export type ValueParser = (text: string) => string | undefined;

// Longer numbers are accepted by nobody downstream; the bound keeps arithmetic on them cheap.
const maxDigits = 200;
const integerForm = /^([+-]?)0*(\d+)$/;
const decimalForm = /^([+-]?)0*(\d*)(?:\.(\d*))?$/;
const dateForm = /^(\d{4})-(\d{2})-(\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?$/;
const timestampForm =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?$/i;
// eslint-disable-next-line no-control-regex -- exactly the characters JSON must escape
const needsEscape = /["\\\u0000-\u001f\ud800-\udfff]/;

/** JSON text of a string; the test is cheaper than JSON.stringify for the usual value. */
export function jsonString(text: string): string {
  return needsEscape.test(text) ? JSON.stringify(text) : `"${text}"`;
}

export function parseInteger(text: string): string | undefined {
  const match = integerForm.exec(text);
  if (match === null || match[2]!.length > maxDigits) return undefined;
  return match[1] === '-' && match[2] !== '0' ? `-${match[2]}` : match[2];
}

/** Exact: every digit after the point is kept. */
export function parseDecimal(text: string): string | undefined {
  const match = decimalForm.exec(text);
  if (match === null) return undefined;
  const whole = match[2]!;
  const fraction = match[3] ?? '';
  if (whole === '' && fraction === '' && !/\d/.test(text)) return undefined;
  if (whole.length + fraction.length > maxDigits) return undefined;
  const magnitude = `${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`;
  return match[1] === '-' && /[1-9]/.test(magnitude) ? `-${magnitude}` : magnitude;
}

function daysInMonth(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function isDate(year: number, month: number, day: number): boolean {
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month);
}

/** `YYYY-MM-DD`; a time of midnight behind it is dropped. */
export function parseDate(text: string): string | undefined {
  const match = dateForm.exec(text);
  if (match === null || !isDate(Number(match[1]), Number(match[2]), Number(match[3]))) return undefined;
  return `"${text.slice(0, 10)}"`;
}

const firstInstant = Date.parse('0001-01-01T00:00:00Z');
const lastInstant = Date.parse('9999-12-31T23:59:59.999Z');
const zoneFormats = new Map<string, Intl.DateTimeFormat>();

/** Milliseconds that `zone` is ahead of UTC at the instant `epochMs`. */
function zoneOffset(zone: string, epochMs: number): number {
  let format = zoneFormats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    zoneFormats.set(zone, format);
  }
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(epochMs)) part[type] = Number(value);
  return (
    Date.UTC(part.year!, part.month! - 1, part.day!, part.hour!, part.minute!, part.second!) -
    Math.floor(epochMs / 1000) * 1000
  );
}

/** ISO-8601 in UTC with milliseconds, so that text order is time order. A text without zone is read in `timeZone`. */
export function timestampParser(timeZone: string): (text: string) => string | undefined {
  return (text) => {
    const match = timestampForm.exec(text);
    if (match === null) return undefined;
    const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone] = match;
    if (!isDate(Number(year), Number(month), Number(day))) return undefined;
    if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
    let epochMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
    if (Number(year) < 100) epochMs = new Date(epochMs).setUTCFullYear(Number(year));
    epochMs += Number(fraction.slice(0, 3).padEnd(3, '0'));
    if (zone !== undefined) {
      if (zone !== 'Z' && zone !== 'z') {
        const digits = zone.slice(1).replace(':', '').padEnd(4, '0');
        const offset = (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))) * 60_000;
        if (Number(digits.slice(0, 2)) > 15 || Number(digits.slice(2)) > 59) return undefined;
        epochMs -= zone.startsWith('-') ? -offset : offset;
      }
    } else if (timeZone !== 'UTC') {
      // The second look settles times within hours of a change of offset.
      const guess = epochMs - zoneOffset(timeZone, epochMs);
      epochMs -= zoneOffset(timeZone, guess);
    }
    // The offset may lead out of the years that four digits and PostgreSQL can write.
    return epochMs < firstInstant || epochMs > lastInstant ? undefined : new Date(epochMs).toISOString();
  };
}

function wordParser(format: ValueFormat): ValueParser {
  const words = new Map<string, string>();
  for (const word of format.falseWords) words.set(word.toLowerCase(), 'false');
  for (const word of format.trueWords) words.set(word.toLowerCase(), 'true');
  return (text) => words.get(text.toLowerCase());
}

/** The parser of single values of a type. Numbers and dates tolerate surrounding spaces; strings are taken as they are. */
export function scalarParser(type: PropertyType, format: ValueFormat): ValueParser {
  switch (type) {
    case 'string':
      return jsonString;
    case 'integer':
      return (text) => parseInteger(text.trim());
    case 'decimal':
      return format.decimalSeparator === ','
        ? (text) => (text.includes('.') ? undefined : parseDecimal(text.trim().replace(',', '.')))
        : (text) => parseDecimal(text.trim());
    case 'boolean': {
      const parse = wordParser(format);
      return (text) => parse(text.trim());
    }
    case 'date': {
      if (format.datePattern === undefined) return (text) => parseDate(text.trim());
      const pattern = compileDatePattern(format.datePattern);
      return (text) => {
        const parts = pattern.parse(text.trim());
        return parts === undefined ? undefined : parseDate(isoDate(parts));
      };
    }
    case 'timestamp': {
      const parse = timestampReader(format);
      return (text) => {
        const iso = parse(text.trim());
        return iso === undefined ? undefined : `"${iso}"`;
      };
    }
  }
}

/** By the dialect's own pattern, where it has one. */
function patternedTimestampParser({
  timestampPattern,
  timeZone,
}: ValueFormat): ((text: string) => string | undefined) | undefined {
  if (timestampPattern === undefined) return undefined;
  const pattern = compileDatePattern(timestampPattern);
  const parse = timestampParser(timeZone);
  return (text) => {
    const parts = pattern.parse(text);
    if (parts === undefined) return undefined;
    const { hour, minute, second, millisecond, offset } = parts;
    const time = `${twoDigits(hour)}:${twoDigits(minute)}:${twoDigits(second)}.${String(millisecond).padStart(3, '0')}`;
    return parse(`${isoDate(parts)}T${time}${offset}`);
  };
}

function isoDate({ year, month, day }: DateParts): string {
  return `${String(year).padStart(4, '0')}-${twoDigits(month)}-${twoDigits(day)}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** Splits list text such as `[a;b]` and parses each element; empty elements are dropped. The JSON text is an array. */
export function listParser(type: PropertyType, format: ValueFormat): ValueParser {
  const parse = scalarParser(type, format);
  const { open, close } = format.list;
  const split = listSplitter(format.list);
  return (text) => {
    let inner = text;
    if (open !== '' && inner.startsWith(open)) inner = inner.slice(open.length);
    if (close !== '' && inner.endsWith(close)) inner = inner.slice(0, -close.length);
    const elements: string[] = [];
    for (const element of split(inner)) {
      if (element === '') continue;
      const value = parse(element);
      if (value === undefined) return undefined;
      elements.push(value);
    }
    return `[${elements.join(',')}]`;
  };
}

/** An escape counts before what a separator begins with and before itself; anywhere else it is a character like others. */
function listSplitter({ separator, escape }: ValueFormat['list']): (text: string) => readonly string[] {
  if (escape === '') return (text) => text.split(separator);
  const [first = ''] = separator;
  return (text) => {
    if (!text.includes(escape)) return text.split(separator);
    const elements: string[] = [];
    let element = '';
    for (let at = 0; at < text.length; at += 1) {
      const character = text[at] ?? '';
      if (text.startsWith(separator, at)) {
        elements.push(element);
        element = '';
        at += separator.length - 1;
        continue;
      }
      const escaped =
        character === escape ? [first, escape].find((special) => text.startsWith(special, at + 1)) : undefined;
      element += escaped ?? character;
      at += escaped?.length ?? 0;
    }
    return [...elements, element];
  };
}

/** Timestamps as a dialect writes them, as ISO-8601 in UTC; undefined where the text is none. */
export function timestampReader(format: ValueFormat): (text: string) => string | undefined {
  return patternedTimestampParser(format) ?? timestampParser(format.timeZone);
}

/** What a value of the type looks like, for messages. */
export function describeType(
  type: PropertyType,
  list: boolean,
  format: Partial<Pick<ValueFormat, 'datePattern' | 'timestampPattern'>> = {},
): string {
  const single: Record<PropertyType, string> = {
    string: 'text',
    integer: 'a whole number',
    decimal: 'a decimal number',
    boolean: 'true or false in the words of the CSV options',
    date: `a date (${format.datePattern ?? 'YYYY-MM-DD'})`,
    timestamp: `a timestamp (${format.timestampPattern ?? 'YYYY-MM-DD HH:MM:SS, zone optional'})`,
  };
  return list ? `a list, each element ${single[type]}` : single[type];
}

import { InputError } from '@millrace/domain';

/** A date and time as written, without any shift: what a pattern reads and writes. */
export interface DateParts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  millisecond: number;
  /** `Z`, `+02:00`, or empty where none was written. */
  offset: string;
}

export interface DatePattern {
  /** Undefined where the text does not follow the pattern, or names a day there is not. */
  parse(text: string): DateParts | undefined;
  format(parts: DateParts): string;
}

interface Token {
  readonly expression: string;
  readonly read: (text: string, parts: DateParts) => void;
  readonly write: (parts: DateParts) => string;
}

type NumberPart = Exclude<keyof DateParts, 'offset'>;

function number(part: NumberPart, digits: number, padded: boolean): Token {
  return {
    expression: padded ? `(\\d{${digits}})` : `(\\d{1,${digits}})`,
    read: (text, parts) => void (parts[part] = Number(text)),
    write: (parts) => String(parts[part]).padStart(padded ? digits : 1, '0'),
  };
}

// Two digits stand for the hundred years around the turn of the millennium, as in POSIX: 69-99 for 1969-1999.
const shortYear: Token = {
  expression: '(\\d{2})',
  read: (text, parts) => void (parts.year = Number(text) + (Number(text) < 69 ? 2000 : 1900)),
  write: ({ year }) => String(year % 100).padStart(2, '0'),
};
const offset: Token = {
  expression: '(Z|[+-]\\d{2}:?\\d{2})',
  read: (text, parts) => void (parts.offset = /^[+-]\d{4}$/.test(text) ? `${text.slice(0, 3)}:${text.slice(3)}` : text),
  write: (parts) => (parts.offset === '' ? 'Z' : parts.offset),
};

/** The letters of Unicode's date patterns (https://unicode.org/reports/tr35/tr35-dates.html), as far as numbers go. */
const tokens: Readonly<Record<string, Token>> = {
  yyyy: number('year', 4, true),
  yy: shortYear,
  MM: number('month', 2, true),
  M: number('month', 2, false),
  dd: number('day', 2, true),
  d: number('day', 2, false),
  HH: number('hour', 2, true),
  H: number('hour', 2, false),
  mm: number('minute', 2, true),
  ss: number('second', 2, true),
  SSS: number('millisecond', 3, true),
  XXX: offset,
};

/** A letter group that stands for a part of a date, or text that stands for itself. */
export type PatternPiece = { readonly token: string } | { readonly literal: string };

/** @throws InputError `bad-date-pattern` */
export function splitDatePattern(pattern: string): readonly PatternPiece[] {
  const pieces: PatternPiece[] = [];
  for (const match of pattern.matchAll(/'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|'/g)) {
    const [whole, quoted, letter] = match;
    if (quoted !== undefined) pieces.push({ literal: quoted === '' ? "'" : quoted.replaceAll("''", "'") });
    else if (letter === undefined && whole !== "'") pieces.push({ literal: whole });
    else {
      if (tokens[whole] === undefined) {
        throw new InputError(
          'bad-date-pattern',
          `the date pattern ${JSON.stringify(pattern)} has ${JSON.stringify(whole)}: use ${Object.keys(tokens).join(' ')}, and put other letters between apostrophes`,
        );
      }
      pieces.push({ token: whole });
    }
  }
  return pieces;
}

/** @throws InputError `bad-date-pattern` */
export function compileDatePattern(pattern: string): DatePattern {
  const pieces = splitDatePattern(pattern).map((piece) => ('literal' in piece ? piece.literal : tokens[piece.token]!));
  const readers = pieces.filter((piece) => typeof piece !== 'string');
  // Fixed runs of digits and literals only: nothing to go back to, so it is linear.
  const form = new RegExp(
    `^${pieces.map((piece) => (typeof piece === 'string' ? escape(piece) : piece.expression)).join('')}$`,
  );
  return {
    parse(text) {
      const match = form.exec(text);
      if (match === null) return undefined;
      const parts: DateParts = {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        millisecond: 0,
        offset: '',
      };
      readers.forEach((token, index) => token.read(match[index + 1] ?? '', parts));
      return isPossible(parts) ? parts : undefined;
    },
    format: (parts) => pieces.map((piece) => (typeof piece === 'string' ? piece : piece.write(parts))).join(''),
  };
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}

function isPossible({ year, month, day, hour, minute, second }: DateParts): boolean {
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return false;
  const last = new Date(Date.UTC(2000, 0, 1));
  last.setUTCFullYear(year, month, 0);
  return day <= last.getUTCDate();
}

/** An instant as the clocks of a zone show it. @throws InputError `bad-time-zone` */
export function partsInZone(instant: Date, timeZone: string): DateParts {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
      timeZoneName: 'longOffset',
    });
  } catch (cause) {
    throw new InputError('bad-time-zone', `there is no time zone ${JSON.stringify(timeZone)}`, { cause });
  }
  const part = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, value]));
  const name = (part.timeZoneName ?? 'GMT').replace('GMT', '');
  return {
    year: Number(part.year),
    month: Number(part.month),
    day: Number(part.day),
    hour: Number(part.hour),
    minute: Number(part.minute),
    second: Number(part.second),
    millisecond: instant.getUTCMilliseconds(),
    offset: name === '' ? 'Z' : name,
  };
}

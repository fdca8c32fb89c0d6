import type { PropertyType } from '@millrace/domain';
import type { SampleRow } from './split-sample.js';

export interface TypeGuess {
  readonly type: PropertyType;
  readonly dateFormat?: string;
  readonly decimalSeparator?: '.' | ',';
}

const knownNullWords = ['NULL', 'null', '\\N', 'N/A', 'n/a', '#N/A', 'NaN', 'nil', 'None', '(null)', '<null>'];

/** Words for no value that stand unquoted in at least one field. */
export function nullWordsSeen(rows: readonly SampleRow[]): readonly string[] {
  const seen = new Set<string>();
  for (const { fields, quoted } of rows) fields.forEach((text, index) => quoted[index] !== true && seen.add(text));
  return knownNullWords.filter((word) => seen.has(word));
}

interface Form {
  readonly type: PropertyType;
  readonly pattern: RegExp;
  readonly dateFormat?: string;
  readonly decimalSeparator?: '.' | ',';
}

// The first form that every value has wins.
const forms: readonly Form[] = [
  { type: 'boolean', pattern: /^(?:true|false|yes|no)$/i },
  // A leading zero is part of a code (postal, telephone, account), not of a number.
  { type: 'integer', pattern: /^[+-]?(?:0|[1-9]\d{0,17})$/ },
  { type: 'decimal', pattern: /^[+-]?(?:0|[1-9]\d*)(?:\.\d+)?$/, decimalSeparator: '.' },
  { type: 'decimal', pattern: /^[+-]?(?:0|[1-9]\d*)(?:,\d+)?$/, decimalSeparator: ',' },
  { type: 'date', pattern: /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/, dateFormat: 'YYYY-MM-DD' },
  { type: 'date', pattern: /^(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])\.\d{4}$/, dateFormat: 'DD.MM.YYYY' },
  { type: 'date', pattern: /^(?:0?[1-9]|1[0-2])\/(?:0?[1-9]|[12]\d|3[01])\/\d{4}$/, dateFormat: 'MM/DD/YYYY' },
  { type: 'date', pattern: /^(?:0?[1-9]|[12]\d|3[01])\/(?:0?[1-9]|1[0-2])\/\d{4}$/, dateFormat: 'DD/MM/YYYY' },
  {
    type: 'timestamp',
    pattern: /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?\s*(?:Z|[+-]\d{2}(?::?\d{2})?)?$/i,
    dateFormat: 'YYYY-MM-DD HH:MM:SS',
  },
  {
    type: 'timestamp',
    pattern: /^\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d{2}(?::\d{2})?$/,
    dateFormat: 'DD.MM.YYYY HH:MM:SS',
  },
];

const string: TypeGuess = { type: 'string' };

/** What the values of a column have in common; text where that is nothing, or there are none. */
export function guessType(rows: readonly SampleRow[], position: number, nullWords: readonly string[]): TypeGuess {
  const values = rows
    .map(({ fields }) => fields[position]?.trim() ?? '')
    .filter((text) => text !== '' && !nullWords.includes(text));
  if (values.length === 0) return string;
  const fitting = forms.filter(({ pattern }) => values.every((text) => pattern.test(text)));
  const [form] = fitting;
  if (form === undefined) return string;
  const { type, dateFormat, decimalSeparator } = form;
  // Both orders fit where no day is beyond the twelfth: both are told, a person knows.
  const orders = fitting.flatMap((each) =>
    each.type === type && each.dateFormat !== undefined ? [each.dateFormat] : [],
  );
  return {
    type,
    ...(dateFormat === undefined ? {} : { dateFormat: orders.join(' or ') }),
    ...(decimalSeparator === undefined ? {} : { decimalSeparator }),
  };
}

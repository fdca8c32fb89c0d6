import { z } from 'zod';

/** A column is named by its header; without a header by its 1-based position. A new name makes a new column. */
const column = z.string().min(1).max(1000);
const file = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,31}$/)
  .default('root')
  .describe('The file of the set whose rows are processed');
const into = column.optional().describe('Where the result goes; absent: the column itself');
const changing = { file, column, into };
const text = z.string().max(4096);

const filterTest = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('matches'),
    pattern: z.string().min(1).max(1024).describe('RE2 syntax; found anywhere in the value unless anchored'),
  }),
  z.strictObject({ op: z.enum(['equals', 'not-equals', 'contains', 'starts-with', 'ends-with']), value: text }),
  z.strictObject({
    op: z.enum(['less', 'less-or-equal', 'greater', 'greater-or-equal']),
    value: text.min(1),
    as: z.enum(['number', 'text']).default('number').describe('Text order suits dates written year first'),
  }),
  z.strictObject({ op: z.literal('in'), values: z.array(text).min(1).max(1000) }),
  z.strictObject({ op: z.enum(['exists', 'missing']) }),
]);
export type FilterTest = z.infer<typeof filterTest>;

/** One step between reading a row and mapping it. Date patterns are written with `yyyy yy MM M dd d HH H mm ss SSS XXX` and `'text'`. */
export const processor = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('clean-email'), ...changing }),
  z.strictObject({ kind: z.literal('normalise-name'), ...changing }),
  z.strictObject({ kind: z.literal('trim'), ...changing }),
  z.strictObject({ kind: z.literal('change-case'), ...changing, to: z.enum(['lower', 'upper', 'title']) }),
  z.strictObject({ kind: z.literal('fixed-value'), file, into: column, value: text }),
  z.strictObject({
    kind: z.literal('convert-value'),
    ...changing,
    table: z
      .array(z.strictObject({ from: text, to: text }))
      .min(1)
      .max(10_000),
    ignoreCase: z.boolean().default(false),
    otherwise: z.enum(['keep', 'empty', 'reject']).default('keep').describe('What becomes of a value not in the table'),
  }),
  z.strictObject({
    kind: z.literal('concatenate'),
    file,
    columns: z.array(column).min(1).max(50),
    separator: z.string().max(64).default(''),
    into: column,
  }),
  z.strictObject({
    kind: z.literal('split'),
    file,
    column,
    separator: z.string().min(1).max(64),
    into: z.array(column).min(1).max(50).describe('The last takes the rest, separators included'),
  }),
  z.strictObject({
    kind: z.literal('current-date'),
    file,
    into: column,
    pattern: z.string().min(1).max(64).default('yyyy-MM-dd'),
    timeZone: z.string().min(1).max(64).default('UTC'),
  }),
  z.strictObject({
    kind: z.literal('reformat-date'),
    ...changing,
    from: z.string().min(1).max(64),
    to: z.string().min(1).max(64).default('yyyy-MM-dd'),
  }),
  z.strictObject({
    kind: z.literal('reformat-number'),
    ...changing,
    decimalSeparator: z.enum(['.', ',']),
    groupSeparator: z.string().max(1).default('').describe('Removed wherever it stands before the decimal separator'),
    decimals: z.int().min(0).max(20).optional().describe('Rounded half away from zero; absent: every digit is kept'),
    to: z.enum(['.', ',']).default('.').describe('Decimal separator of the result'),
  }),
  z.strictObject({ kind: z.literal('hash'), ...changing }).describe('SHA-256 of the trimmed lower-case value, in hex'),
  z
    .strictObject({ kind: z.literal('pseudonymise'), ...changing })
    .describe('HMAC-SHA-256 of the value under a key of the service and the workspace, in hex'),
  z.strictObject({ kind: z.literal('filter'), file, column, action: z.enum(['keep', 'drop']), test: filterTest }),
  z.strictObject({ kind: z.literal('drop-null-words'), ...changing, words: z.array(text.min(1)).min(1).max(100) }),
  z.strictObject({ kind: z.literal('first-rows'), file, rows: z.int().min(0) }),
  z.strictObject({ kind: z.literal('log'), file, label: z.string().min(1).max(200) }),
]);
export type Processor = z.infer<typeof processor>;

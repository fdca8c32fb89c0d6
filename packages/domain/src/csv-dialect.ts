import { z } from 'zod';

const oneCharacter = z
  .string()
  .refine(
    (text) => [...text].length === 1 && text.length === 1 && !/[\r\n\0]/.test(text),
    'must be one character, not a line break or NUL',
  );

export const charset = z.enum(['utf-8', 'utf-8-bom', 'utf-16le', 'utf-16be', 'iso-8859-1', 'windows-1252']);
export type Charset = z.infer<typeof charset>;

const patternLetters = 'yyyy yy MM M dd d HH H mm ss SSS XXX, other letters in apostrophes';
const datePattern = z.string().min(1).max(64);

/** How rows stand in a file, for reading and writing. Sizes in bytes. */
export const csvDialect = z
  .object({
    delimiter: oneCharacter.default(','),
    quote: oneCharacter.nullable().default('"').describe('null: no quoting at all'),
    escape: z.enum(['doubled', 'backslash']).default('doubled'),
    quotePolicy: z.enum(['needed', 'all']).default('needed').describe('Writing only'),
    header: z.boolean().default(true),
    skipLines: z.int().min(0).max(10_000).default(0).describe('Reading only: lines before the header'),
    charset: charset.default('utf-8').describe('A byte order mark in the file wins when reading'),
    lineEnding: z.enum(['lf', 'crlf']).default('lf').describe('Writing only; reading takes LF, CRLF and CR mixed'),
    nullWords: z
      .array(z.string().max(64))
      .max(20)
      .default([])
      .describe('Reading: unquoted fields with one of these words hold no value'),
    nullText: z.string().max(64).default('').describe('Writing: what stands for no value'),
    trim: z.boolean().default(false),
    shortRows: z.enum(['reject', 'pad']).default('reject'),
    longRows: z.enum(['reject', 'cut']).default('reject'),
    list: z
      .object({
        separator: z.string().min(1).max(8).default(';'),
        open: z.string().max(8).default(''),
        close: z.string().max(8).default(''),
        escape: z
          .union([z.literal(''), oneCharacter])
          .default('\\')
          .describe(
            'Stands before what a separator begins with, and before itself, inside an element; empty: nothing is escaped',
          ),
      })
      .refine(({ separator, escape }) => escape === '' || !separator.includes(escape), {
        path: ['escape'],
        message: 'must not be part of the separator',
      })
      .prefault({}),
    decimalSeparator: z.enum(['.', ',']).default('.'),
    trueWords: z.array(z.string().min(1)).min(1).default(['true', '1', 'yes']),
    falseWords: z.array(z.string().min(1)).min(1).default(['false', '0', 'no']),
    datePattern: datePattern.optional().describe(`${patternLetters}; absent: YYYY-MM-DD`),
    timestampPattern: datePattern
      .optional()
      .describe(`${patternLetters}, shown in the time zone; absent: ISO-8601, written in UTC`),
    timeZone: z
      .string()
      .default('UTC')
      .describe('Reading: of times that name no zone. Writing: of times written by a pattern'),
    unencodable: z
      .enum(['fail', 'replace'])
      .default('fail')
      .describe('Writing only: a character the charset lacks ends the export, or becomes "?" and is counted'),
    formulaGuard: z
      .boolean()
      .default(false)
      .describe(
        'A value that a spreadsheet would take for a formula (begins with = + - @, tab or line break and is no number) gets an apostrophe in front, which reading takes off again',
      ),
    maxRecordBytes: z
      .int()
      .min(1024)
      .max(64 * 1024 * 1024)
      .optional()
      .describe(
        "Reading only: a longer row is rejected. Absent: the importer's MILLRACE_IMPORT_RECORD_KIB, 1 MiB unless the operator sets it; never more than its MILLRACE_IMPORT_MAX_RECORD_KIB",
      ),
  })
  .refine((dialect) => dialect.quote === null || dialect.quote !== dialect.delimiter, {
    path: ['quote'],
    message: 'must differ from the delimiter',
  });
export type CsvDialect = z.infer<typeof csvDialect>;

import { z } from 'zod';

const oneCharacter = z
  .string()
  .refine(
    (text) => [...text].length === 1 && text.length === 1 && !/[\r\n\0]/.test(text),
    'must be one character, not a line break or NUL',
  );

export const charset = z.enum(['utf-8', 'utf-8-bom', 'utf-16le', 'utf-16be', 'iso-8859-1', 'windows-1252']);
export type Charset = z.infer<typeof charset>;

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
      })
      .prefault({}),
    decimalSeparator: z.enum(['.', ',']).default('.'),
    trueWords: z.array(z.string().min(1)).min(1).default(['true', '1', 'yes']),
    falseWords: z.array(z.string().min(1)).min(1).default(['false', '0', 'no']),
    timeZone: z.string().default('UTC').describe('For dates and times that name no zone'),
    maxRecordBytes: z
      .int()
      .min(1024)
      .max(64 * 1024 * 1024)
      .default(1024 * 1024),
  })
  .refine((dialect) => dialect.quote === null || dialect.quote !== dialect.delimiter, {
    path: ['quote'],
    message: 'must differ from the delimiter',
  });
export type CsvDialect = z.infer<typeof csvDialect>;

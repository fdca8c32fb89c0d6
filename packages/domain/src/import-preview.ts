import { z } from 'zod';
import { csvDialect, type CsvDialect } from './csv-dialect.js';
import { groupTypeName } from './group-type.js';
import { errorSummary } from './run.js';
import { filePattern, importProfilesGoal, mergeRule } from './import-goal.js';
import { propertyType } from './property.js';

/** CSV options as far as a person has given them: what is left out is proposed from the file. */
export const givenCsvOptions = z
  .strictObject(
    Object.fromEntries(
      Object.entries(csvDialect.shape).map(([name, option]): [string, z.ZodType] => [
        name,
        (option as z.ZodDefault<z.ZodType>).unwrap().optional(),
      ]),
    ),
  )
  .transform((options) => options as Partial<CsvDialect>)
  .describe('CSV options that are given; what is left out is proposed from the file');

/** A look into the files of an import goal that need not be saved yet. A whole goal fits; what is not needed is passed over. */
export const importPreviewRequest = z.object({
  source: importProfilesGoal.shape.source,
  csv: givenCsvOptions.default({}),
  linked: z
    .array(
      z.object({
        alias: z.string().min(1).max(32),
        pattern: filePattern,
        parent: z.string().min(1).max(32).default('root'),
        column: z.string().min(1).max(1000).optional(),
        parentColumn: z.string().min(1).max(1000).optional(),
        csv: givenCsvOptions.optional(),
      }),
    )
    .max(20)
    .default([]),
  groupType: groupTypeName.optional().describe('The rows are groups of this type: its properties are proposed'),
  rows: z.int().min(0).max(50).default(20).describe('First rows to show of each file'),
  file: z.string().min(1).max(1024).optional().describe('Key of the root file to look into; otherwise the first'),
});
export type ImportPreviewRequest = z.output<typeof importPreviewRequest>;

const previewedObject = z.object({ key: z.string(), size: z.int(), lastModified: z.iso.datetime() });

const columnMapping = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('identifier'), namespace: z.string() }),
  z.object({
    kind: z.literal('property'),
    property: z.string(),
    rule: mergeRule,
    exists: z.boolean().describe('False: the workspace has no such property yet'),
    warning: z.string().optional().describe('What the mapping would do to a property that exists already'),
    type: propertyType,
  }),
]);

const previewedColumn = z.object({
  column: z.string().describe('As mappings name it: its header, or its position from 1'),
  type: propertyType.describe('By the values in the head of the file'),
  dateFormat: z.string().optional().describe('How dates stand in it'),
  mapping: columnMapping.optional().describe('A proposal by name'),
});
export type PreviewedColumn = z.infer<typeof previewedColumn>;

export const previewedFile = previewedObject.extend({
  alias: z.string(),
  link: z
    .object({
      parent: z.string(),
      column: z.string(),
      parentColumn: z.string(),
      proposed: z.boolean().describe('By equal column names; false: as given'),
    })
    .optional(),
  wrapping: z.array(z.enum(['pgp', 'gzip', 'zip'])).describe('By content, outermost first'),
  bytesRead: z.int().describe('Of the stored object'),
  whole: z.boolean().describe('Whether the head that was looked at is all of it'),
  proposals: z.array(
    z.object({
      option: z.string().describe('A CSV option'),
      value: z.unknown(),
      given: z.unknown().optional(),
      used: z.boolean().describe('False: another value is given, and that one was used'),
    }),
  ),
  lineEnding: z.enum(['lf', 'crlf', 'cr', 'mixed']).optional(),
  dateFormats: z.array(z.string()),
  csv: csvDialect.optional().describe('The options the rows were read with'),
  header: z.boolean().optional(),
  columns: z.array(previewedColumn),
  rows: z.array(
    z.object({
      line: z.int(),
      fields: z.array(z.string()).optional(),
      problem: z.object({ code: z.string(), message: z.string() }).optional(),
    }),
  ),
  problem: errorSummary.optional().describe('Why the file cannot be read with these options'),
});
export type PreviewedFile = z.infer<typeof previewedFile>;

export const importPreview = z
  .object({
    sets: z
      .array(
        z.object({
          root: previewedObject,
          linked: z.array(previewedObject.extend({ alias: z.string() })),
        }),
      )
      .describe('The files the goal would import, in their order; the first hundred'),
    setsFound: z.int(),
    objectsListed: z.int(),
    listedAll: z.boolean().describe('False: the directory holds more objects than a preview looks at'),
    files: z.array(previewedFile).describe('The root file and its linked files, looked into'),
  })
  .meta({ id: 'ImportPreview' });
export type ImportPreview = z.infer<typeof importPreview>;

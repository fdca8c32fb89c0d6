import { z } from 'zod';
import { csvDialect } from './csv-dialect.js';
import { bucketName, directory } from './import-goal.js';
import { propertyName } from './property.js';

const columnSource = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('property'), property: propertyName }),
  z.strictObject({ kind: z.literal('profile-id') }),
  z.strictObject({ kind: z.literal('identity'), namespace: z.string().min(1) }),
  z.strictObject({
    kind: z.literal('segments'),
    segmentIds: z.array(z.uuid()).max(100).optional().describe('Absent: all segments of the profile'),
  }),
  z.strictObject({
    kind: z
      .literal('membership-status')
      .describe('realized or exited; a delta then also holds those who left the segment'),
  }),
  z.strictObject({ kind: z.literal('consent'), objective: z.string().min(1) }),
  z.strictObject({ kind: z.literal('fixed'), text: z.string().max(4096) }),
]);
export type ColumnSource = z.infer<typeof columnSource>;

export const exportColumn = z.strictObject({ header: z.string().max(1000), source: columnSource });
export type ExportColumn = z.infer<typeof exportColumn>;

const manifestDialect = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('millrace').describe('<file name>.manifest.json') }),
  z.strictObject({ kind: z.literal('adobe').describe('manifest-<goal id>-<run id>.json') }),
  z.strictObject({
    kind: z.literal('pega').describe('<file name>.manifest.xml'),
    processType: z
      .string()
      .min(1)
      .max(200)
      // XML 1.0 has no way to write these.
      .regex(/^[^\u0000-\u001f\ufffe\uffff]*$/, 'must not contain control characters')
      .default('IMPORT'),
  }),
]);
export type ManifestDialect = z.infer<typeof manifestDialect>;

/** A segment's profiles become files in a bucket. */
export const exportProfilesGoal = z.strictObject({
  kind: z.literal('export-profiles'),
  name: z.string().min(1).max(200),
  active: z.boolean().default(true),
  segmentId: z.uuid(),
  target: z.strictObject({ bucket: bucketName, directory }),
  fileName: z
    .string()
    .min(1)
    .max(255)
    .default('%SEGMENT_NAME%_%DATETIME%')
    .describe(
      'Without extension. Macros: %SEGMENT_ID% %SEGMENT_NAME% %DATETIME% (YYYYMMDD_HHMMSS, UTC) %TIMESTAMP% (Unix seconds)',
    ),
  mode: z
    .enum(['delta', 'full', 'membership-only'])
    .default('delta')
    .describe(
      'After a first full export: what changed since, everybody again, or who joined or left the segment since',
    ),
  columns: z.array(exportColumn).min(1).max(500),
  csv: csvDialect.prefault({}),
  compression: z.enum(['gzip', 'none']).default('none'),
  pgp: z.strictObject({ encrypt: z.boolean().default(false), sign: z.boolean().default(false) }).prefault({}),
  parts: z.int().min(1).max(8).default(1).describe('Files written side by side: name.csv, name_2.csv, ...'),
  splitRows: z
    .int()
    .min(1)
    .optional()
    .describe('Instead of a number of files: at most so many rows in each. Absent: not split'),
  mandatory: z
    .array(propertyName)
    .max(100)
    .default([])
    .describe('Properties, mapped or not: profiles without a value for one of them are not exported, and counted'),
  consentObjectives: z
    .array(z.string().min(1))
    .max(20)
    .default([])
    .describe('Only profiles consenting to at least one; empty: everyone'),
  manifests: z
    .array(manifestDialect)
    .min(1)
    .max(3)
    .default([{ kind: 'millrace' }])
    .describe('Written in this order when all files are there; each dialect at most once'),
  tokenFile: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe(
      'Name of an empty file written last of all, beside the others. The macros of the file name, and %FILE_NAME%: the name of the first file without extension',
    ),
  emptyResult: z.enum(['skip', 'header-only', 'fail']).default('skip'),
});
export type ExportProfilesGoal = z.infer<typeof exportProfilesGoal>;

/** Millrace's own manifest, written after the files it lists and beside them; SHA-256 in lower-case hexadecimal, of the bytes as stored. */
export const exportManifest = z.object({
  version: z.literal(1),
  runId: z.uuid(),
  goalId: z.uuid(),
  mode: z.enum(['delta', 'full']),
  reason: z.string().optional().describe('Why a delta goal ran in full'),
  plannedAt: z.iso.datetime(),
  rows: z.int(),
  files: z.array(z.object({ name: z.string(), rows: z.int(), bytes: z.int(), sha256: z.string() })),
});
export type ExportManifest = z.infer<typeof exportManifest>;

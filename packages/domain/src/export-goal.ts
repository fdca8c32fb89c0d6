import { z } from 'zod';
import { csvDialect } from './csv-dialect.js';
import { groupTypeName } from './group-type.js';
import { bucketName, directory } from './import-goal.js';
import { processor } from './processor.js';
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
      .describe(
        'realized or exited; a delta then also holds whoever was delivered and is not in the audience any more',
      ),
  }),
  z.strictObject({ kind: z.literal('consent'), objective: z.string().min(1) }),
  z.strictObject({
    kind: z.literal('group'),
    type: groupTypeName,
    property: propertyName.optional().describe("Absent: the group's key. Several groups give a list, by key"),
  }),
  z.strictObject({
    kind: z.literal('lifecycle').describe('The stage the profile stands in'),
    lifecycleId: z.uuid(),
  }),
  z.strictObject({
    kind: z
      .literal('viewed-interactions')
      .describe('What the events of interaction types name, each once, in alphabetical order'),
    eventTypes: z.array(z.string().min(1)).min(1).max(100).optional().describe('Absent: every interaction type'),
    countsAsChange: z
      .boolean()
      .default(false)
      .describe('Delta: a new or updated event of these types makes its profile due'),
  }),
  z.strictObject({ kind: z.literal('permission-level') }),
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

const deduplication = z.discriminatedUnion('by', [
  z.strictObject({
    by: z.literal('namespace').describe('A row for each identity of a profile in the namespace; its column says which'),
    namespace: z.string().min(1),
  }),
  z.strictObject({
    by: z.literal('properties').describe('Of profiles with the same values only the most recently qualified one'),
    properties: z.array(propertyName).min(1).max(2),
  }),
]);
export type Deduplication = z.infer<typeof deduplication>;

/** Events of the exported profiles, in files of their own: one per event type, and one per nested list of it. */
const timelineExport = z.strictObject({
  types: z.array(z.string().min(1)).min(1).max(100).optional().describe('Codes of event types. Absent: all types'),
  from: z.iso.datetime({ offset: true }).optional().describe('Events at or after this time. Absent: from the first on'),
  until: z.iso.datetime({ offset: true }).optional().describe('Events before this time. Absent: to the last'),
  fileName: z
    .string()
    .min(1)
    .max(255)
    .default('%FILE_NAME%_%EVENT_TYPE%')
    .describe(
      'Without extension; a nested list adds "_" and its name. The macros of the file name, %FILE_NAME% and %EVENT_TYPE%',
    ),
  countsAsChange: z
    .boolean()
    .default(false)
    .describe('Delta: a new or updated event of these types alone makes its profile due'),
});
export type TimelineExport = z.infer<typeof timelineExport>;

/** A segment's profiles become files in a bucket. */
export const exportProfilesGoal = z.strictObject({
  kind: z.literal('export-profiles'),
  name: z.string().min(1).max(200),
  active: z.boolean().default(true),
  segmentId: z.uuid(),
  furtherSegmentIds: z.array(z.uuid()).max(99).default([]).describe('More audiences, beside segmentId'),
  audiences: z
    .enum(['one-file', 'file-per-audience'])
    .default('one-file')
    .describe('Of several: who is in any of them in one set of files, or a set of files for each'),
  target: z.strictObject({
    bucket: bucketName,
    directory: directory.describe(
      'Without leading slash; may end with %SEGMENT_NAME%, %SEGMENT_ID% or %SEGMENT_NAME%/%SEGMENT_ID%',
    ),
  }),
  fileName: z
    .string()
    .min(1)
    .max(255)
    .default('%DESTINATION%_%SEGMENT_ID%_%DATETIME%')
    .describe(
      'Without extension. Macros: %DESTINATION% (kind of the connection) %DESTINATION_INSTANCE_ID% %DESTINATION_INSTANCE_NAME% (its id and name) %SEGMENT_ID% %SEGMENT_NAME% %ORGANIZATION_NAME% (title of the workspace) %SANDBOX_NAME% (its name) %DATETIME% (YYYYMMDD_HHMMSS, UTC) %TIMESTAMP% (Unix seconds)',
    ),
  mode: z
    .enum(['delta', 'full', 'membership-only'])
    .default('delta')
    .describe(
      'After a first full export: what changed since, everybody again, or who joined or left the segment since',
    ),
  columns: z.array(exportColumn).min(1).max(500),
  processors: z
    .array(processor)
    .max(50)
    .default([])
    .describe(
      'Applied to the columns in this order before a row is written; columns they make stand behind the mapped ones',
    ),
  timeline: timelineExport.optional(),
  csv: csvDialect.prefault({}),
  compression: z.enum(['gzip', 'none']).default('none'),
  pgp: z.strictObject({ encrypt: z.boolean().default(false), sign: z.boolean().default(false) }).prefault({}),
  parts: z
    .int()
    .min(1)
    .max(8)
    .default(1)
    .describe('Files written side by side, as long as none has more than splitRows: name.csv, name_2.csv, ...'),
  splitRows: z.int().min(1).default(5_000_000).describe('At most so many rows in each file'),
  splitBytes: z
    .int()
    .min(1024)
    .optional()
    .describe(
      'At most so many bytes in each file, header included, before compression and encryption; cut between rows',
    ),
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
  requiredIdentity: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Identity namespace of the receiver: profiles without an identity in it are not exported, and counted as not-in-target',
    ),
  deduplicate: deduplication.optional(),
  tombstones: z
    .boolean()
    .default(false)
    .describe(
      'Deltas hold delivered profiles that were erased since, as rows with the status `erased`, the profile id and the identities of its columns: all that is left of them. Needs a column for the status and one for either',
    ),
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

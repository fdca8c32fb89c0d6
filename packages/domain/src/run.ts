import { z } from 'zod';

export const runState = z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']);
export type RunState = z.infer<typeof runState>;

export const errorSummary = z.object({ code: z.string(), message: z.string(), at: z.string().optional() });

/**
 * Where every root row of an import went:
 * rowsRead = created + updated + unchanged + erased + the skipped + ambiguous + rejected.
 */
export const importCounts = z.object({
  files: z.int().default(0),
  filesSkipped: z.int().default(0).describe('Imported before under the same configuration'),
  bytes: z.int().default(0),
  rowsRead: z.int().default(0),
  created: z.int().default(0).describe('Rows whose profile, or group, was created by this file'),
  updated: z.int().default(0),
  unchanged: z.int().default(0),
  erased: z.int().default(0).describe('Rows whose profile, or group, the delete flag erased'),
  skipped: z.record(z.string(), z.int()).default({}).describe('By reason: unmatched, consent, erased, filtered, ...'),
  ambiguous: z.int().default(0),
  rejected: z.int().default(0),
  profilesCreated: z.int().default(0),
  profilesUpdated: z.int().default(0),
  profilesUnchanged: z.int().default(0),
  profilesErased: z.int().default(0),
  lastCreated: z.array(z.uuid()).default([]).describe('The last profiles created, the latest first, five at most'),
  lastUpdated: z.array(z.uuid()).default([]).describe('The last profiles updated, the latest first, five at most'),
  groupsCreated: z.int().default(0),
  groupsUpdated: z.int().default(0),
  groupsUnchanged: z.int().default(0),
  groupsErased: z.int().default(0),
  groupsUnlinked: z.int().default(0).describe('Links of profiles to groups that ended with an erased group'),
  groupsLinked: z.int().default(0).describe('Links of profiles to groups that were not there before'),
  groupsUnknown: z.int().default(0).describe('Links to keys no group has, where the goal creates none'),
  products: z.int().default(0).describe('Products added to the product store or changed'),
  linkedRowsRead: z.int().default(0),
  linkedRowsUsed: z.int().default(0),
  linkedRowsRejected: z.int().default(0),
  linkedRowsFiltered: z.int().default(0).describe('Dropped by a processor'),
  linkedRowsSuperseded: z.int().default(0).describe('A later row of the same event took their place'),
  linkedRowsOrphaned: z.int().default(0).describe('Linked rows whose parent row is missing or was not applied'),
  linkedRowsWithheld: z
    .int()
    .default(0)
    .describe('Their root row was held back: no consent, erased before, another organizational unit'),
  fieldsRejected: z
    .int()
    .default(0)
    .describe('Values left out of rows that were kept, those of processors and linked files included'),
  fieldsMapped: z
    .int()
    .default(0)
    .describe('Fields of mapped columns in the rows of the root file that were kept: with value + empty + left out'),
  fieldsWithValue: z.int().default(0),
  fieldsEmpty: z.int().default(0).describe('Empty, a null word, or not there'),
  fieldsLeftOut: z.int().default(0).describe('Their value was rejected, and their row was not'),
  events: z.int().default(0),
  eventLines: z.int().default(0),
});
export type ImportCounts = z.infer<typeof importCounts>;

export const exportCounts = z.object({
  rows: z.int().default(0),
  bytes: z.int().default(0),
  files: z.array(z.object({ name: z.string(), rows: z.int(), bytes: z.int(), sha256: z.string() })).default([]),
  manifest: z.string().optional().describe('Object key of the first manifest'),
  manifests: z.array(z.string()).optional().describe('Object keys in the order of the goal'),
  token: z.string().optional().describe('Object key of the file written last of all'),
  mode: z.enum(['delta', 'full']).optional(),
  reason: z.string().optional(),
  members: z.int().optional().describe('Profiles in the segment when the export was planned'),
  touched: z.int().optional().describe('Delta: profiles with a change the goal reads, in the segment or not'),
  due: z.int().optional().describe('Rows the plan expected, where it counted them'),
  withheld: z.int().optional().describe('Profiles that would be due, but lack what the goal asks for'),
  withheldBy: z
    .record(z.string(), z.int())
    .optional()
    .describe('The withheld by the first reason that applies: no-mapped-value, missing:<property>, no-consent'),
  events: z.int().optional().describe('Rows in files of events, those of nested lists not counted'),
  filtered: z.int().optional().describe('Rows that a processor dropped'),
  valuesLeftOut: z.int().optional().describe('Values a processor could not understand: written as no value'),
  charactersReplaced: z.int().optional().describe('Characters the charset lacks, written as "?"'),
  logged: z
    .array(z.object({ label: z.string(), rows: z.int() }))
    .optional()
    .describe('Rows that came to each log processor, in order'),
});
export type ExportCounts = z.infer<typeof exportCounts>;

/** Work done and expected, in `unit`s, for a progress bar. */
export const progress = z.object({
  phase: z.string(),
  done: z.int(),
  total: z.int().optional(),
  unit: z.enum(['bytes', 'rows', 'chunks', 'parts', 'profiles']),
});
export type Progress = z.infer<typeof progress>;

/**
 * What a worker tells about its goal. Counts are totals so far, never increments:
 * reading one twice, or missing one, does no harm.
 */
export const runEventBody = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('goal-started') }),
  z.object({ kind: z.literal('goal-progress'), progress, counts: z.record(z.string(), z.unknown()).optional() }),
  z.object({
    kind: z.literal('goal-note'),
    level: z.enum(['info', 'warn']),
    message: z.string(),
    at: z.string().optional(),
  }),
  /** After the end: corrected rows have moved from rejected to what became of them. */
  z.object({ kind: z.literal('goal-recounted'), counts: z.record(z.string(), z.unknown()) }),
  z.object({
    kind: z.literal('goal-finished'),
    outcome: z.enum(['succeeded', 'failed', 'cancelled']),
    counts: z.record(z.string(), z.unknown()),
    error: errorSummary.optional(),
  }),
]);
export type RunEventBody = z.infer<typeof runEventBody>;

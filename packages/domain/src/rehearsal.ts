import { z } from 'zod';
import { importCounts } from './run.js';

/** One row, or the profile it belongs to, as an example of what a dry run found. */
export const rehearsalSample = z.object({
  outcome: z.enum([
    'created',
    'updated',
    'cleared',
    'unchanged',
    'erased',
    'unmatched',
    'withheld',
    'ambiguous',
    'rejected',
  ]),
  line: z.number().describe('Physical line of the row, or of the first of the rows that belong together'),
  profileId: z.uuid().optional().describe('The profile that is there already'),
  before: z.record(z.string(), z.unknown()).optional().describe('The properties that would change, as they are'),
  after: z.record(z.string(), z.unknown()).optional().describe('The same as they would be; what is missing is cleared'),
  column: z.string().optional(),
  reason: z.string().optional(),
});
export type RehearsalSample = z.infer<typeof rehearsalSample>;

export const rehearsal = z
  .object({
    files: z.array(
      z.object({
        name: z.string().describe('Key of the root object'),
        goalId: z.uuid(),
        counts: importCounts,
        profilesCleared: z.int().describe('Profiles that would lose the value of at least one property'),
        samples: z.array(rehearsalSample).describe('Up to five of each outcome'),
      }),
    ),
  })
  .meta({ id: 'DryRunResult' });
export type RehearsalResult = z.infer<typeof rehearsal>;

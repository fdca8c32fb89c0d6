import { z } from 'zod';
import { exportPreviewOrder } from './export-preview.js';

/** What config-api asks the exporter of one profile. */
export const explanationOrder = exportPreviewOrder.extend({ profileId: z.uuid() });
export type ExplanationOrder = z.infer<typeof explanationOrder>;

const condition = z.object({
  condition: z
    .string()
    .describe(
      'active, exists, in-segment, what would withhold the profile (no-mapped-value, missing:<property>, not-in-target, ' +
        'no-deduplication-key, no-consent, duplicate) or changed',
    ),
  met: z.boolean(),
  answer: z.string().describe('What was found, in words'),
});
export type ExplainedCondition = z.infer<typeof condition>;

/** Why a profile is in or out of what a goal would send now. */
export const explanation = z.object({
  profileId: z.uuid(),
  included: z.boolean().describe('The next export holds the profile; a stream keeps its receiver up to date about it'),
  mode: z.enum(['delta', 'full', 'stream']),
  reason: z.string().optional().describe('Why a goal that writes changes would run in full'),
  audiences: z
    .array(
      z.object({
        segmentIds: z.array(z.uuid()),
        included: z.boolean(),
        conditions: z.array(condition).describe('In the order in which they are asked; the first unmet one decides'),
      }),
    )
    .describe('One for each set of files'),
});
export type Explanation = z.infer<typeof explanation>;

import { z } from 'zod';

/**
 * A journey in stages, such as new, active, lapsed. Each stage is a segment; a profile stands in the last stage, in this
 * order, whose segment it is in.
 */
export const lifecycleDefinition = z.strictObject({
  name: z.string().min(1).max(200),
  stages: z
    .array(z.strictObject({ name: z.string().min(1).max(200), segmentId: z.uuid() }))
    .min(1)
    .max(50)
    .describe('From the first to the last: of several that fit a profile the last one counts'),
});
export type LifecycleDefinition = z.infer<typeof lifecycleDefinition>;

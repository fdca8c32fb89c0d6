import { z } from 'zod';

/**
 * A part of a workspace whose profiles are matched and created apart: the same identity may be one profile's in each domain group.
 * Everything else of the workspace (properties, segments, group types, exports) spans all of them.
 */
export const domainGroup = z.strictObject({
  name: z.string().min(1).max(200),
});
export type DomainGroup = z.infer<typeof domainGroup>;

/** What refers to a domain group of the workspace. */
export const domainGroupId = z.uuid();

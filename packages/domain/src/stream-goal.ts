import { z } from 'zod';
import { propertyName } from './property.js';

/** Changes of profiles in the chosen segments become records on a Kinesis stream. */
export const streamGoal = z.strictObject({
  kind: z.literal('stream'),
  name: z.string().min(1).max(200),
  active: z.boolean().default(true),
  streamName: z.string().regex(/^[a-zA-Z0-9_.-]{1,128}$/),
  segmentIds: z.array(z.uuid()).min(1).max(100),
  properties: z.array(propertyName).max(2000).default([]),
  includeSegmentNames: z.boolean().default(false),
  includeSegmentTimestamps: z.boolean().default(false),
  suppressSameValue: z.boolean().default(false),
  envelope: z.boolean().default(false).describe('Adds event id, profile version, reason and time to each record'),
  partitionKey: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('profile-id') }),
      z.strictObject({ kind: z.literal('identity'), namespace: z.string().min(1) }),
    ])
    .prefault({ kind: 'profile-id' }),
  retries: z.int().min(0).max(20).default(2),
  maxRecordBytes: z
    .int()
    .min(1024)
    .max(10 * 1024 * 1024)
    .default(1024 * 1024),
});
export type StreamGoal = z.infer<typeof streamGoal>;

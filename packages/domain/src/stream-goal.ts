import { z } from 'zod';
import { propertyName } from './property.js';

/** A record uses these names itself: no mapped property may begin with one. */
export const reservedRecordNames = {
  membership: 'segmentMembership',
  identities: 'identityMap',
  envelope: 'millrace',
} as const;

/** Whether a property's path begins with a name that stream records use themselves. */
export function isReservedInRecords(property: string): boolean {
  const [top] = property.split('.', 1);
  return Object.values(reservedRecordNames).some((name) => name === top);
}

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
    .default(1024 * 1024)
    .describe('Data and partition key of one record; above 1 MiB the stream must be set up for it'),
  aggregation: z
    .strictObject({
      hashKeys: z
        .int()
        .min(1)
        .max(1024)
        .default(32)
        .describe('Among so many keys profiles are spread: at least four for each shard'),
    })
    .optional()
    .describe('Packs several records into one in the format of the Kinesis Producer Library; absent: one record each'),
  maxLagSeconds: z
    .int()
    .min(1)
    .max(30 * 86_400)
    .default(600)
    .describe('An alert is raised when the oldest unsent change is older'),
});
export type StreamGoal = z.infer<typeof streamGoal>;

import { z } from 'zod';
import { domainGroupId } from './domain-group.js';
import { groupTypeName } from './group-type.js';
import { mergeRule } from './import-goal.js';
import { propertyName } from './property.js';

/** Values arrive as JSON or as text; numbers keep every digit. */
const ingestValue = z.unknown();

export const profileUpdate = z.strictObject({
  identities: z
    .array(z.strictObject({ namespace: z.string().min(1), value: z.string().min(1).max(1024) }))
    .min(1)
    .max(10),
  occurredAt: z
    .string()
    .min(1)
    .optional()
    .describe(
      'When this was so at its source: an item older than an erasure does not bring the person back. Absent: now, or the time of the latest event where there is nothing but events',
    ),
  properties: z
    .array(z.strictObject({ property: propertyName, value: ingestValue, rule: mergeRule.default('set') }))
    .max(1000)
    .default([]),
  consent: z
    .array(z.strictObject({ objective: z.string().min(1).max(64), granted: z.boolean() }))
    .max(100)
    .default([]),
  groups: z
    .array(
      z.strictObject({
        type: groupTypeName,
        key: z.string().min(1).max(512),
        replace: z.boolean().default(false).describe('The profile leaves the other groups of this type'),
      }),
    )
    .max(100)
    .default([])
    .describe('Groups to become a member of; one that is not there yet is made, without properties'),
  events: z
    .array(
      z.strictObject({
        type: z.string().min(1),
        id: z.string().min(1).max(256),
        occurredAt: z.string().min(1),
        properties: z.record(z.string(), ingestValue).default({}),
        lists: z.record(z.string(), z.array(z.record(z.string(), ingestValue)).max(1000)).default({}),
      }),
    )
    .max(100)
    .default([]),
});
export type ProfileUpdate = z.infer<typeof profileUpdate>;

export const ingestionBatch = z.strictObject({
  batchId: z
    .string()
    .min(1)
    .max(128)
    .describe('Chosen by the client: the same id again answers with the first result and changes nothing'),
  allowCreation: z.boolean().default(true),
  domainGroupId: domainGroupId
    .optional()
    .describe('Updates match profiles of this domain group alone, and new ones belong to it; absent: the default one'),
  updates: z.array(z.unknown()).min(1).max(1000),
});

export const ingestionResult = z.object({
  batchId: z.string(),
  items: z.array(
    z.object({
      index: z.int(),
      outcome: z.enum(['created', 'updated', 'unchanged', 'skipped', 'ambiguous', 'rejected']),
      profileId: z.uuid().optional(),
      reason: z.string().optional(),
    }),
  ),
});
export type IngestionResult = z.infer<typeof ingestionResult>;

import { isLosslessNumber, type LosslessNumber } from 'lossless-json';
import { domainGroupId, propertyName } from '@millrace/domain';
import { z } from 'zod';

// Longer ones pass PostgreSQL's numeric only by chance.
const exactNumber = z
  .custom<LosslessNumber>(
    (value) => isLosslessNumber(value) && /^-?\d{1,100}(\.\d{1,100})?([eE][+-]?\d{1,2})?$/.test(value.value),
    'must be a number of a usual size',
  )
  .meta({ type: 'number' });
const scalar = z.union([
  z
    .string()
    .max(100_000)
    .refine((text) => !text.includes('\0'), 'must not contain a NUL character'),
  z.boolean(),
  exactNumber,
]);

/** The body of a PUT of a group, parsed with exact numbers. */
export const groupBody = z
  .strictObject({
    properties: z
      .record(propertyName, z.union([scalar, z.array(scalar).max(1000)]))
      .default({})
      .describe('Replace those of the same name; others stay. Those the group type declares must be of their type'),
    members: z
      .array(z.strictObject({ namespace: z.string().min(1), value: z.string().min(1).max(1024) }))
      .max(1000)
      .default([])
      .describe('Identities of profiles to add; present members stay'),
    domainGroupId: domainGroupId
      .optional()
      .describe('Where the members are looked up; absent: in the default domain group'),
  })
  .meta({ id: 'GroupBody' });
export type GroupBody = z.infer<typeof groupBody>;

export const groupResult = z
  .object({
    type: z.string(),
    key: z.string(),
    unknownMembers: z.int().describe('Identities that belong to no profile, or to one named already'),
  })
  .meta({ id: 'GroupResult' });
export type GroupResult = z.infer<typeof groupResult>;

export const groupView = z
  .object({
    type: z.string(),
    key: z.string(),
    properties: z.record(z.string(), z.unknown()).describe('Flat'),
    members: z.int(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Group' });

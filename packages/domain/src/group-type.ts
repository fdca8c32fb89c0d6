import { z } from 'zod';
import { propertyName, propertyType } from './property.js';

const groupTypeCode = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9_-]{0,63}$/,
    'must start with a letter and hold only letters, digits, "_" and "-" (64 at most)',
  );

/** What refers to a group type: one that the API of groups made on first use may have any name. */
export const groupTypeName = z.string().min(1).max(64);

export const groupProperty = z.object({
  name: propertyName,
  type: propertyType.default('string'),
  list: z.boolean().default(false),
});
export type GroupProperty = z.infer<typeof groupProperty>;

/** A kind of group, such as household, company or account. A group is known by its key; imports write the properties declared here. */
export const groupType = z.object({
  code: groupTypeCode,
  properties: z.array(groupProperty).max(1000).default([]),
});
export type GroupType = z.infer<typeof groupType>;

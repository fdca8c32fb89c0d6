import { z } from 'zod';
import { propertyName } from './property.js';

/** Held for every import goal of a connection, whatever the goal says. */
export const importGuardrails = z.strictObject({
  existingProfilesOnly: z
    .boolean()
    .default(false)
    .describe('No import of this connection creates a profile; rows that match none are skipped as unmatched'),
  unit: z
    .strictObject({
      column: z.string().min(1).max(1000).optional().describe('A column of the root file'),
      property: propertyName
        .optional()
        .describe('A property of the profile: rows that would change it are of another unit too'),
      value: z.string().min(1).max(1000),
    })
    .refine(({ column, property }) => (column === undefined) !== (property === undefined), {
      message: 'names either a column or a property',
    })
    .optional()
    .describe('The one organizational unit: rows in which it has another value are rejected and counted'),
});
export type ImportGuardrails = z.infer<typeof importGuardrails>;

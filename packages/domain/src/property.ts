import { z } from 'zod';

/** A dotted path such as `person.name.firstName`: what a person calls a property, so any alphabet, but no control characters. */
export const propertyName = z
  .string()
  .min(1)
  .max(300)
  .refine((name) => !/[\u0000-\u001f\u007f]/u.test(name), 'must not contain control characters')
  .refine((name) => name.split('.').every((segment) => segment.length > 0), 'must not contain an empty path segment');

export const propertyType = z.enum(['string', 'integer', 'decimal', 'boolean', 'date', 'timestamp']);
export type PropertyType = z.infer<typeof propertyType>;

/** One attribute of a profile. The type says how its JSON is stored: numbers as exact JSON numbers, dates `YYYY-MM-DD`, timestamps ISO-8601 in UTC with milliseconds. */
export const property = z.object({
  name: propertyName,
  type: propertyType.default('string'),
  list: z.boolean().default(false),
  unique: z.boolean().default(false).describe('Usable as an identity: a namespace of the same name is made for it'),
  labels: z.array(z.string().min(1).max(64)).default([]),
});
export type Property = z.infer<typeof property>;

/** What a person may be told or shown: every workspace starts with it, a property like any other. */
export const permissionLevel = 'permissionLevel';

/** The first dotted-prefix clash between names, which would make the nested output ambiguous (`a` beside `a.b`), or undefined. */
export function prefixClash(names: readonly string[]): readonly [shorter: string, longer: string] | undefined {
  const sorted = [...new Set(names)].sort();
  const known = new Set(sorted);
  for (const name of sorted) {
    const segments = name.split('.');
    for (let depth = 1; depth < segments.length; depth += 1) {
      const prefix = segments.slice(0, depth).join('.');
      if (known.has(prefix)) return [prefix, name];
    }
  }
  return undefined;
}

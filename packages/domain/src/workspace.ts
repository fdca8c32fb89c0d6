import { z } from 'zod';

/** A tenant or brand: nothing crosses from one to another. */
export const workspace = z.object({
  name: z
    .string()
    .regex(
      /^[a-z][a-z0-9-]{0,62}$/,
      'must start with a lower-case letter and hold only lower-case letters, digits and "-" (63 at most)',
    ),
  title: z.string().max(200).default(''),
});
export type Workspace = z.infer<typeof workspace>;

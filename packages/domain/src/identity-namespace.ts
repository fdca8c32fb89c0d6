import { z } from 'zod';

/** Applied in this order, the same on import, look-up and export. */
export const normalisation = z.object({
  trim: z.boolean().default(true),
  case: z.enum(['keep', 'lower', 'upper']).default('keep'),
  digitsOnly: z.boolean().default(false).describe('Keep digits and a leading plus: for telephone numbers'),
  hash: z
    .enum(['none', 'sha256'])
    .default('none')
    .describe(
      'Store the lower-case hexadecimal digest instead of the value; a value that is a digest already is taken as it is',
    ),
});
export type Normalisation = z.infer<typeof normalisation>;

export const identityNamespace = z.object({
  code: z
    .string()
    .regex(
      /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/,
      'must start with a letter and hold only letters, digits, "_", "." and "-" (64 at most)',
    ),
  kind: z.enum(['email', 'phone', 'cookie', 'device', 'crm-id', 'custom']).default('custom'),
  normalisation: normalisation.prefault({}),
});
export type IdentityNamespace = z.infer<typeof identityNamespace>;

/** Stands for a namespace in matching: the id Millrace gave the profile. No namespace can be called so. */
export const profileIdNamespace = '(profile-id)';

/** What every workspace starts with. */
export const defaultNamespaces: readonly IdentityNamespace[] = [
  identityNamespace.parse({ code: 'email', kind: 'email', normalisation: { case: 'lower' } }),
  identityNamespace.parse({ code: 'phone', kind: 'phone', normalisation: { digitsOnly: true } }),
  identityNamespace.parse({ code: 'customerId', kind: 'crm-id' }),
];

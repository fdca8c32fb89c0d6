import { commonConfig } from '@millrace/service-kit';
import { z } from 'zod';

/** Environment of this service. */
export const config = z.object({
  ...commonConfig,
  MILLRACE_SEALING_KEY: z
    .base64()
    .refine((text) => Buffer.from(text, 'base64').length === 32, 'must be 32 bytes in base64')
    .describe('Opens the secrets that config-api sealed for this service'),
  MILLRACE_EXPORT_PARTS: z.coerce.number().int().min(1).max(32).default(2).describe('Files written at once by this process'),
  MILLRACE_EXPORT_LEASE_MS: z.coerce
    .number()
    .int()
    .min(1000)
    .max(600_000)
    .default(30_000)
    .describe('How long work of a process that died stays with it'),
});
export type Config = z.output<typeof config>;

import { commonConfig } from '@millrace/service-kit';
import { z } from 'zod';

/** Environment of this service; the README describes it. */
export const configSchema = z.object({
  ...commonConfig,
  MILLRACE_PORT: commonConfig.MILLRACE_PORT.default(3003),
  MILLRACE_SEALING_KEY: z
    .base64('must be 32 bytes in base64')
    .transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
    .refine((key) => key.length === 32, 'must be 32 bytes in base64'),
  MILLRACE_REPLICA_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  MILLRACE_SERVICE_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
  MILLRACE_EXPORT_PARTS: z.coerce.number().int().min(1).max(32).default(2),
  MILLRACE_EXPORT_LEASE_MS: z.coerce.number().int().min(1000).max(600_000).default(30_000),
});
export type Config = z.output<typeof configSchema>;

import { commonConfig } from '@millrace/service-kit';
import { z } from 'zod';
import { defaultRetention } from './storage/retention.js';

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
  MILLRACE_EXPORT_KEEP_DAYS: z.coerce.number().min(1).max(3650).default(defaultRetention.exportDays),
  MILLRACE_EXPORT_WATERMARK_DAYS: z.coerce.number().min(1).max(3650).default(defaultRetention.watermarkDays),
});
export type Config = z.output<typeof configSchema>;

import { z } from 'zod';
import { commonConfig } from '@millrace/service-kit';
import type { PublisherSettings } from './publish-changes/publisher.js';

const milliseconds = (least: number, most: number): z.ZodCoercedNumber => z.coerce.number().int().min(least).max(most);

export const configSchema = z
  .object({
    ...commonConfig,
    MILLRACE_PORT: commonConfig.MILLRACE_PORT.default(3004),
    MILLRACE_SEALING_KEY: z
      .base64('must be 32 bytes in base64')
      .transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
      .refine((key) => key.length === 32, 'must be 32 bytes in base64'),
    MILLRACE_STREAM_SLOTS: z.coerce.number().int().min(1).max(32).default(4),
    MILLRACE_STREAM_REQUEST_TIMEOUT_MS: milliseconds(100, 60_000).default(1000),
    MILLRACE_STREAM_LEASE_MS: milliseconds(500, 300_000).default(2200),
    MILLRACE_STREAM_LINGER_MS: milliseconds(0, 1000).default(40),
    MILLRACE_STREAM_IDLE_POLL_MS: milliseconds(10, 10_000).default(250),
    MILLRACE_STREAM_BACKFILL_SLICE: z.coerce.number().int().min(1).max(100_000).default(5000),
    MILLRACE_STREAM_BACKFILL_PENDING: z.coerce.number().int().min(1).max(10_000_000).default(20_000),
    MILLRACE_STREAM_DEAD_LETTER_DAYS: z.coerce.number().min(1).max(3650).default(30),
    MILLRACE_SERVICE_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
  })
  // A request is sent only while its lanes' leases outlast its timeout, and leases are renewed every fifth of their length:
  // with shorter ones there would hardly be a moment to send.
  .refine((config) => config.MILLRACE_STREAM_LEASE_MS >= config.MILLRACE_STREAM_REQUEST_TIMEOUT_MS * 1.5, {
    path: ['MILLRACE_STREAM_LEASE_MS'],
    message: 'must be at least one and a half times MILLRACE_STREAM_REQUEST_TIMEOUT_MS',
  });
export type Config = z.output<typeof configSchema>;

export function publisherSettings(config: Config): PublisherSettings {
  return {
    slots: config.MILLRACE_STREAM_SLOTS,
    requestTimeoutMs: config.MILLRACE_STREAM_REQUEST_TIMEOUT_MS,
    leaseMs: config.MILLRACE_STREAM_LEASE_MS,
    lingerMs: config.MILLRACE_STREAM_LINGER_MS,
    idlePollMs: config.MILLRACE_STREAM_IDLE_POLL_MS,
    sweepMs: 1000,
    patienceMs: 250,
    backfill: {
      members: config.MILLRACE_STREAM_BACKFILL_SLICE,
      pendingPerGoal: config.MILLRACE_STREAM_BACKFILL_PENDING,
    },
    backlogEveryMs: 10_000,
    totalsEveryMs: 5000,
    deadLetterDays: config.MILLRACE_STREAM_DEAD_LETTER_DAYS,
  };
}

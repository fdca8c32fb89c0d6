import { commonConfig } from '@millrace/service-kit';
import { z } from 'zod';
import type { SealingKeys } from './manage-connections/connection-secrets.js';

const sealingKey = z
  .base64('must be 32 bytes in base64')
  .transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
  .refine((key) => key.length === 32, 'must be 32 bytes in base64');

const services = {
  'config-api': sealingKey,
  importer: sealingKey,
  'batch-exporter': sealingKey,
  'stream-publisher': sealingKey,
};

/** `{"config-api": "<base64>", "importer": ...}`; keys of other services are left aside. */
const sealingKeys = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: 'custom', message: 'must be JSON: service names and their keys' });
      return z.NEVER;
    }
  })
  .pipe(z.object(services))
  // Of a wrong key only the service may be named.
  .transform((keys): SealingKeys => keys);

const yesOrNo = z
  .enum(['true', 'false'])
  .default('false')
  .transform((word) => word === 'true');

export const configSchema = z
  .object({
    ...commonConfig,
    MILLRACE_PORT: commonConfig.MILLRACE_PORT.default(3001),
    MILLRACE_SEALING_KEYS: sealingKeys,
    MILLRACE_BOOTSTRAP_API_KEY: z.string().min(32, 'must be random and at least 32 characters long').optional(),
    MILLRACE_IMPORTER_URL: z.url({ protocol: /^https?$/, error: 'must look like http://importer:3002' }).optional(),
    MILLRACE_EXPORTER_URL: z
      .url({ protocol: /^https?$/, error: 'must look like http://batch-exporter:3003' })
      .optional(),
    MILLRACE_PUBLISHER_URL: z
      .url({ protocol: /^https?$/, error: 'must look like http://stream-publisher:3004' })
      .optional(),
    MILLRACE_SERVICE_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
    MILLRACE_EGRESS_ADDRESSES: z
      .string()
      .default('')
      .transform((text) => text.split(/[\s,]+/).filter((address) => address !== ''))
      .pipe(
        z.array(
          z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], 'must be addresses or networks such as 192.0.2.0/28'),
        ),
      ),
    MILLRACE_INGESTION_BATCH_DAYS: z.coerce.number().min(1).max(3650).default(30),
    MILLRACE_TOMBSTONE_DAYS: z.coerce.number().min(30).max(36_500).default(3650),
    MILLRACE_SMTP_URL: z
      .url({ protocol: /^smtps?$/, error: 'must look like smtp://user:password@mail.example.org:587' })
      .optional(),
    MILLRACE_SMTP_FROM: z.email('must be the address alerts are sent from').optional(),
    MILLRACE_ALERT_HTTP: yesOrNo,
    MILLRACE_ALERT_PRIVATE_ADDRESSES: yesOrNo,
    MILLRACE_ALERT_RETRY_SECONDS: z.coerce.number().min(0.1).max(3600).default(5),
    MILLRACE_ALERT_GIVE_UP_HOURS: z.coerce.number().min(1).max(720).default(72),
    MILLRACE_ALERT_DAYS: z.coerce.number().min(1).max(3650).default(30),
    MILLRACE_ALERT_WATCH_SECONDS: z.coerce.number().min(0.1).max(600).default(10),
  })
  .refine(({ MILLRACE_SMTP_URL: url, MILLRACE_SMTP_FROM: from }) => url === undefined || from !== undefined, {
    path: ['MILLRACE_SMTP_FROM'],
    message: 'is needed with MILLRACE_SMTP_URL: the address alerts are sent from',
  })
  .refine(
    (config) =>
      (config.MILLRACE_IMPORTER_URL === undefined &&
        config.MILLRACE_EXPORTER_URL === undefined &&
        config.MILLRACE_PUBLISHER_URL === undefined) ||
      config.MILLRACE_SERVICE_TOKEN !== undefined,
    {
      path: ['MILLRACE_SERVICE_TOKEN'],
      message:
        'is needed with MILLRACE_IMPORTER_URL, MILLRACE_EXPORTER_URL and MILLRACE_PUBLISHER_URL: the token these services were given',
    },
  );
export type Config = z.output<typeof configSchema>;

import { z } from 'zod';
import { commonConfig } from '@millrace/service-kit';
import type { ImportSettings } from './run-import/import-job.js';
import { defaultRetention, type ImportRetention } from './storage/retention.js';

const count = (least: number, most: number): z.ZodCoercedNumber => z.coerce.number().int().min(least).max(most);

const days = (byDefault: number): z.ZodDefault<z.ZodCoercedNumber> =>
  z.coerce.number().min(1).max(36_500).default(byDefault);

// What a goal may ask for at most.
const maxRecordKib = 64 * 1024;

export const configSchema = z.object({
  ...commonConfig,
  MILLRACE_PORT: commonConfig.MILLRACE_PORT.default(3002),
  MILLRACE_SEALING_KEY: z
    .base64('must be 32 bytes in base64')
    .transform((text) => new Uint8Array(Buffer.from(text, 'base64')))
    .refine((key) => key.length === 32, 'must be 32 bytes in base64'),
  MILLRACE_SERVICE_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
  MILLRACE_IMPORT_RUNS: count(1, 32).default(2),
  MILLRACE_IMPORT_LANES: count(1, 32).default(2),
  MILLRACE_IMPORT_CHUNK_LINES: count(1, 1_000_000).default(50_000),
  MILLRACE_IMPORT_LISTED_REJECTS: count(0, 10_000_000).default(100_000),
  MILLRACE_IMPORT_MAX_PLAIN_GIB: count(1, 10_240).default(200),
  MILLRACE_IMPORT_RECORD_KIB: count(1, maxRecordKib).default(1024),
  MILLRACE_IMPORT_MAX_RECORD_KIB: count(1, maxRecordKib).default(maxRecordKib),
  MILLRACE_IMPORT_LEASE_MS: count(1000, 600_000).default(30_000),
  MILLRACE_IMPORT_REJECT_DAYS: days(defaultRetention.rejectDays),
  MILLRACE_IMPORT_SAMPLE_DAYS: days(defaultRetention.sampleDays),
  MILLRACE_IMPORT_PLAN_DAYS: days(defaultRetention.planDays),
  MILLRACE_IMPORT_FILE_DAYS: days(defaultRetention.fileDays),
});
export type Config = z.output<typeof configSchema>;

export function importSettings(config: Config): ImportSettings {
  return {
    lanes: config.MILLRACE_IMPORT_LANES,
    chunkLines: config.MILLRACE_IMPORT_CHUNK_LINES,
    maxStoredRejects: config.MILLRACE_IMPORT_LISTED_REJECTS,
    maxPlainBytes: config.MILLRACE_IMPORT_MAX_PLAIN_GIB * 1024 ** 3,
    recordBytes: config.MILLRACE_IMPORT_RECORD_KIB * 1024,
    maxRecordBytes: config.MILLRACE_IMPORT_MAX_RECORD_KIB * 1024,
  };
}

export function importRetention(config: Config): ImportRetention {
  return {
    rejectDays: config.MILLRACE_IMPORT_REJECT_DAYS,
    sampleDays: config.MILLRACE_IMPORT_SAMPLE_DAYS,
    planDays: config.MILLRACE_IMPORT_PLAN_DAYS,
    fileDays: config.MILLRACE_IMPORT_FILE_DAYS,
  };
}

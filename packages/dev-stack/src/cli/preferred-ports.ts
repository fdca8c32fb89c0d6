/** Where a person may expect things; whatever is taken moves to a free port. */
export const preferredPorts = {
  'config-api': 4600,
  importer: 4601,
  'batch-exporter': 4602,
  'stream-publisher': 4603,
  postgres: 4610,
  redis: 4611,
  s3: 4612,
  kinesis: 4613,
} as const;

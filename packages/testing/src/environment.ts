import { standInCredentials, type AwsAccess } from '@millrace/dev-stack';

/** What `integrationPreset` leaves in the environment for test files. */
export const variables = {
  database: 'MILLRACE_TEST_DATABASE_URL',
  redis: 'MILLRACE_TEST_REDIS_URL',
  s3: 'MILLRACE_TEST_S3_ENDPOINT',
  kinesis: 'MILLRACE_TEST_KINESIS_ENDPOINT',
} as const;

/** The URL of one stand-in; an error tells how to get one. */
export function testUrl(name: keyof typeof variables): string {
  const url = process.env[variables[name]];
  if (!url) {
    throw new Error(
      `${variables[name]} is not set: use \`integrationPreset\` from '@millrace/testing/jest' in this package's jest.config.js`,
    );
  }
  return url;
}

/** How to reach the S3 or Kinesis stand-in; `endpoint` may be replaced by a proxy's. */
export function awsAccess(service: 's3' | 'kinesis', endpoint = testUrl(service)): AwsAccess {
  return { endpoint, region: 'us-east-1', ...standInCredentials };
}

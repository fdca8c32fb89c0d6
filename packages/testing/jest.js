import { fileURLToPath } from 'node:url';
import { preset } from '@millrace/jest-preset';

/**
 * For packages with `test/*.int.spec.ts`: a throwaway PostgreSQL, Redis, S3 and Kinesis for the run,
 * or those named by MILLRACE_TEST_* in the environment.
 */
export const integrationPreset = {
  ...preset,
  globalSetup: fileURLToPath(new URL('./dist/global-setup.js', import.meta.url)),
  globalTeardown: fileURLToPath(new URL('./dist/global-teardown.js', import.meta.url)),
};

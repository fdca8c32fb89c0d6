import { fileURLToPath } from 'node:url';
import { ServiceProcess, testRedisUrl } from '@millrace/testing';
import type { ImportHarness } from './import-harness.js';

const mainFile = fileURLToPath(new URL('../dist/main.js', import.meta.url));

/** The built importer as a process of its own, on a harness's database. Resolves when it is ready to take runs. */
export async function startImporter(
  harness: ImportHarness,
  env: Readonly<Record<string, string>> = {},
): Promise<ServiceProcess> {
  return await ServiceProcess.start({
    mainFile,
    env: {
      MILLRACE_DATABASE_URL: harness.testDatabase.url,
      MILLRACE_REDIS_URL: await testRedisUrl(),
      MILLRACE_SEALING_KEY: Buffer.from(harness.sealingKey).toString('base64'),
      MILLRACE_IMPORT_LANES: '1',
      MILLRACE_IMPORT_CHUNK_LINES: '10',
      MILLRACE_IMPORT_LEASE_MS: '3000',
      ...env,
    },
  });
}

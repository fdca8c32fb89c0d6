// Run by process.spec.ts: a service whose shutdown hook takes HOOK_MS. Uses the built package.
import { setTimeout as delay } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { z } from 'zod';
import { bootstrap, commonConfig, createLogger, readConfig } from '../dist/index.js';

const config = readConfig(
  z.object({
    MILLRACE_PORT: commonConfig.MILLRACE_PORT,
    HOOK_MS: z.coerce.number().default(0),
    REJECT: z.string().optional(),
  }),
);
const logger = createLogger({ service: 'test' });

class TestModule {
  async beforeApplicationShutdown() {
    await delay(config.HOOK_MS);
    logger.info({}, 'hook done');
  }
}
Module({})(TestModule);

await bootstrap({ module: TestModule, name: 'test', port: config.MILLRACE_PORT, logger });
if (config.REJECT) void Promise.reject(new Error('nobody waits for me'));

import { migrate } from '@millrace/database';
import { workMigrations } from '@millrace/job-queue';
import { profileMigrations } from '@millrace/profile-store';
import { commonConfig, createLogger, readConfig } from '@millrace/service-kit';
import { z } from 'zod';
import { configMigrations } from './storage/migrations/index.js';

const { MILLRACE_DATABASE_URL } = readConfig(z.object({ MILLRACE_DATABASE_URL: commonConfig.MILLRACE_DATABASE_URL }));
const applied = await migrate(MILLRACE_DATABASE_URL, [profileMigrations, workMigrations, configMigrations]);
createLogger({ service: 'config-api' }).info({ applied }, 'migrations are up to date');

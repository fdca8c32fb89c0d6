import { migrate } from '@millrace/database';
import { workMigrations } from '@millrace/job-queue';
import { profileMigrations } from '@millrace/profile-store';
import { commonConfig, readConfig } from '@millrace/service-kit';
import { z } from 'zod';
import { exporterMigrations } from './storage/migrations.js';

const { MILLRACE_DATABASE_URL } = readConfig(z.object({ MILLRACE_DATABASE_URL: commonConfig.MILLRACE_DATABASE_URL }));
const applied = await migrate(MILLRACE_DATABASE_URL, [profileMigrations, workMigrations, exporterMigrations]);
process.stdout.write(applied.length === 0 ? 'nothing to migrate\n' : `applied ${applied.join(', ')}\n`);

import type { MigrationSet } from '@millrace/database';
import { CreateWorkSchema1763700100000 } from './migrations/1763700100000-create-work-schema.js';

/** The `work` schema. Apply before any service starts. */
export const workMigrations: MigrationSet = { schema: 'work', migrations: [CreateWorkSchema1763700100000] };

import type { MigrationSet } from '@millrace/database';
import { CreateProfileSchema1763700000000 } from './1763700000000-create-profile-schema.js';

export const profileMigrations: MigrationSet = { schema: 'profile', migrations: [CreateProfileSchema1763700000000] };

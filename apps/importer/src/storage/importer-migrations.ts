import type { MigrationSet } from '@millrace/database';
import { CreateImporterSchema1763800000000 } from './migrations/1763800000000-create-importer-schema.js';

export const importerMigrations: MigrationSet = { schema: 'importer', migrations: [CreateImporterSchema1763800000000] };

import type { MigrationSet } from '@millrace/database';
import { CreateExporterSchema1763700400000 } from './migrations/1763700400000-create-exporter-schema.js';

/** The schema this service owns. */
export const exporterMigrations: MigrationSet = { schema: 'exporter', migrations: [CreateExporterSchema1763700400000] };

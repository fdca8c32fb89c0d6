import type { MigrationSet } from '@millrace/database';
import { CreateConfigSchema1763710000000 } from './1763710000000-create-config-schema.js';

/** The `config` schema, oldest first. Expand only: what a running older version reads or writes must stay. */
export const configMigrations: MigrationSet = { schema: 'config', migrations: [CreateConfigSchema1763710000000] };

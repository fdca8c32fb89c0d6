import type { MigrationSet } from '@millrace/database';
import { CreatePublisherSchema1763700400000 } from './1763700400000-create-publisher-schema.js';

/** The `publisher` schema: goals as the publisher knows them, what is to be sent, and how far backfills are. */
export const publisherMigrations: MigrationSet = {
  schema: 'publisher',
  migrations: [CreatePublisherSchema1763700400000],
};

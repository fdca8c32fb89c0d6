import { migrate } from '@millrace/database';
import { createTestDatabase } from '@millrace/testing';
import { DataSource } from 'typeorm';
import { configEntities } from '../src/storage/entities.js';
import { configMigrations } from '../src/storage/migrations/index.js';

it('builds by its migrations what its entities describe', async () => {
  const database = await createTestDatabase('storage', { migrate, sets: [configMigrations] });
  const source = await new DataSource({
    type: 'postgres',
    url: database.url,
    schema: 'config',
    entities: [...configEntities],
    migrationsTableName: 'migration',
  }).initialize();
  try {
    const { upQueries } = await source.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  } finally {
    await source.destroy();
    await database.drop();
  }
});

it('applies its migrations once, however often it is asked', async () => {
  const database = await createTestDatabase('storage-twice');
  try {
    expect(await migrate(database.url, [configMigrations])).toHaveLength(1);
    expect(await migrate(database.url, [configMigrations])).toEqual([]);
  } finally {
    await database.drop();
  }
});

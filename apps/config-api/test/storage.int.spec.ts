import { Database, migrate, sql, type Sql } from '@millrace/database';
import { createTestDatabase } from '@millrace/testing';
import { ConfigStorage } from '../src/storage/config-storage.js';
import { configMigrations } from '../src/storage/migrations/index.js';

it('builds by its migrations what its entities describe', async () => {
  const database = await createTestDatabase('storage', { migrate, sets: [configMigrations] });
  const storage = await ConfigStorage.open({ url: database.url });
  try {
    expect(await storage.drift()).toEqual([]);
    await execute(database.url, sql`ALTER TABLE config.run DROP COLUMN repeat_sums`);
    expect(await storage.drift()).toEqual([expect.stringContaining('"repeat_sums"')]);
  } finally {
    await storage.close();
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

async function execute(url: string, statement: Sql): Promise<void> {
  const database = new Database({ url, applicationName: 'config-api-test' });
  await database.query(statement);
  await database.end();
}

import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { removeOldTombstones } from '../src/index.js';
import { createStore, type StoreFixture } from './store-fixture.js';

let store: StoreFixture;
beforeAll(async () => {
  store = await createStore('remove-tombstones');
});
afterAll(() => store.close());

it('removes tombstones when their time has come, and no others', async () => {
  const [old, recent] = [randomUUID(), randomUUID()];
  await store.database.query(sql`
    INSERT INTO profile.tombstone (profile_id, workspace_id, domain_group_id, version, erased_at)
    VALUES (${old}, ${store.workspaceId}, 1, 1, now() - interval '101 days'), (${recent}, ${store.workspaceId}, 1, 1, now() - interval '99 days')`);
  expect(await removeOldTombstones(store.database, 100)).toBe(1);
  expect(await removeOldTombstones(store.database, 100)).toBe(0);
  const { rows } = await store.database.query(sql`SELECT profile_id AS id FROM profile.tombstone`);
  expect(rows).toEqual([{ id: recent }]);
});

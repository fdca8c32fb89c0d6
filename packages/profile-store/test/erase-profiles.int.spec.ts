import { sql } from '@millrace/database';
import { createSegment, eraseProfiles, registerStreamTarget } from '../src/index.js';
import { countOf, createStore, fileShape, importRows, propertiesOf, type StoreFixture } from './store-fixture.js';

let store: StoreFixture;
const uses = { fill: false, clear: false, append: [], increment: [], consent: true, erase: true };

beforeAll(async () => {
  store = await createStore('erase-profiles');
  await store.addProperty('city');
});
afterAll(() => store.close());

const erase = true;
const idOf = async (mail: string): Promise<string> => {
  const { rows } = await store.database.query<{ id: string }>(
    sql`SELECT profile_id AS id FROM profile.identity WHERE value = ${mail}`,
  );
  return rows[0]!.id;
};

describe('a delete flag', () => {
  it('erases the profile with everything that hangs on it and leaves a tombstone', async () => {
    await createSegment(store.database, store.workspaceId, {
      name: 'Everyone',
      rule: { kind: 'all', rules: [] },
    });
    const shape = await fileShape(store, ['email', 'customerId'], { uses });
    await importRows(store, shape, [
      { ids: ['gone@x.org', 'C-1'], assign: { city: 'Ghent' }, consent: { news: true } },
      { ids: ['stays@x.org', 'C-2'], assign: { city: 'Lille' }, consent: { news: true } },
    ]);
    const id = await idOf('gone@x.org');
    await store.database.transaction((tx) =>
      registerStreamTarget(tx, {
        goalId: '0197a000-0000-7000-8000-000000000001',
        workspaceId: store.workspaceId,
        propertyIds: [],
        suppressSameValue: false,
      }),
    );
    const { plan, counts } = await importRows(store, await fileShape(store, ['email', 'customerId'], { uses }), [
      { ids: ['gone@x.org', null], assign: { city: 'Paris' } },
      { ids: [null, 'C-1'], erase },
      { ids: ['stays@x.org', null], assign: { city: 'Rome' } },
      { ids: ['nobody@x.org', null], erase },
    ]);
    expect(plan.rows).toMatchObject({ a: 1, e: 2, u: 1 });
    expect(counts).toMatchObject({ updated: 1, erased: 2, profilesErased: 1, created: 0 });
    expect(await propertiesOf(store, 'gone@x.org')).toBeUndefined();
    expect(await propertiesOf(store, 'C-1', 'customerId')).toBeUndefined();
    expect(await propertiesOf(store, 'stays@x.org')).toBe('{"city": "Rome"}');
    expect(await countOf(store, 'consent')).toBe(1);
    const { rows } = await store.database.query<{ id: string; hashes: string[]; later: boolean }>(sql`
      SELECT profile_id AS id, identity_hashes AS hashes, version > (1::bigint << 40) + 1 AS later FROM profile.tombstone`);
    expect(rows).toEqual([{ id, hashes: [expect.stringMatching(/^[0-9a-f]{64}$/), expect.any(String)], later: true }]);
    const outbox = await store.database.query(
      sql`SELECT FROM profile.outbox WHERE profile_id = ${id}::uuid AND identities`,
    );
    expect(outbox.rowCount).toBe(1);
  });

  it('erases nobody where it is ambiguous', async () => {
    const shape = await fileShape(store, ['email', 'customerId'], { uses });
    await importRows(store, shape, [{ ids: ['one@x.org', null] }, { ids: [null, 'two'] }]);
    const { plan } = await importRows(store, await fileShape(store, ['email', 'customerId'], { uses }), [
      { ids: ['one@x.org', 'two'], erase },
    ]);
    expect(plan.rows).toMatchObject({ e: 0, x: 1 });
    expect(await propertiesOf(store, 'one@x.org')).toBe('{}');
  });

  it('lets the person come back as somebody new', async () => {
    await importRows(store, await fileShape(store, ['email'], { uses }), [{ ids: ['back@x.org'] }]);
    const before = await idOf('back@x.org');
    await importRows(store, await fileShape(store, ['email'], { uses }), [{ ids: ['back@x.org'], erase }]);
    const { counts } = await importRows(store, await fileShape(store, ['email'], { uses }), [{ ids: ['back@x.org'] }]);
    expect(counts.created).toBe(1);
    expect(await idOf('back@x.org')).not.toBe(before);
  });
});

it('hashes an identity the same way each time, and differently in each namespace', async () => {
  const { rows } = await store.database.query<{ same: boolean; other: boolean }>(sql`
    SELECT profile.identity_hash(tombstone_key, 1, 'a') = profile.identity_hash(tombstone_key, 1, 'a') AS same,
      profile.identity_hash(tombstone_key, 1, 'a') = profile.identity_hash(tombstone_key, 2, 'a') AS other
    FROM profile.store`);
  expect(rows).toEqual([{ same: true, other: false }]);
});

it('passes over profiles of another workspace', async () => {
  await importRows(store, await fileShape(store, ['email'], { uses }), [{ ids: ['mine@x.org'] }]);
  const id = await idOf('mine@x.org');
  const erased = await store.database.transaction((tx) =>
    eraseProfiles(tx, store.workspaceId + 1, sql`SELECT ${id}::uuid`),
  );
  expect(erased).toBe(0);
});

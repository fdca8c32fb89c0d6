import { randomUUID } from 'node:crypto';
import { deriveBoxKeys, openBox } from '@millrace/crypto';
import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import {
  buildSegments,
  createSegment,
  eraseProfiles,
  type ErasureReader,
  lastWordsPlace,
  registerErasureReader,
  removeErasureReader,
  removeOldTombstones,
} from '../src/index.js';
import { createStore, fileShape, importRows, type StoreFixture } from './store-fixture.js';

/** What erasures leave for exports that must tell their receivers of them. */
describe('the last words of erased profiles', () => {
  const { publicKey, privateKey } = deriveBoxKeys(new Uint8Array(32).fill(3));
  const uses = { fill: false, clear: false, append: [], increment: [], consent: false, erase: true };
  let store: StoreFixture;
  let everyone: string;
  let nobody: string;
  let email: number;

  beforeAll(async () => {
    store = await createStore('last-words');
    await store.addProperty('city');
    const segment = async (name: string, op: 'exists' | 'missing'): Promise<string> =>
      (
        await createSegment(store.database, store.workspaceId, {
          name,
          rule: { kind: 'property', property: 'city', op },
        })
      ).id;
    everyone = await segment('In a city', 'exists');
    nobody = await segment('Elsewhere', 'missing');
    while (await buildSegments(store.database)) continue;
    const { rows } = await store.database.query<{ id: number }>(
      sql`SELECT id FROM profile.identity_namespace WHERE workspace_id = ${store.workspaceId} AND code = 'email'`,
    );
    email = rows[0]?.id ?? 0;
  });
  afterAll(() => store.close());
  afterEach(async () => {
    await store.database.query(sql`DELETE FROM profile.erasure_reader`);
  });

  const read = async (segmentId: string): Promise<ErasureReader> => {
    const reader = {
      goalId: randomUUID(),
      workspaceId: store.workspaceId,
      segmentIds: [segmentId],
      namespaceIds: [email],
      publicKey,
    };
    await store.database.transaction((tx) => registerErasureReader(tx, reader));
    return reader;
  };
  const words = async (goalId: string): Promise<readonly string[]> => {
    const { rows } = await store.database.query<{ profile_id: string; sealed: string }>(
      sql`SELECT profile_id, sealed FROM profile.last_words WHERE goal_id = ${goalId} ORDER BY profile_id`,
    );
    return rows.map((row) => openBox(row.sealed, privateKey, lastWordsPlace(goalId, row.profile_id)));
  };
  const people = async (...ids: readonly string[]): Promise<void> => {
    await importRows(
      store,
      await fileShape(store, ['email', 'customerId'], { uses }),
      ids.map((id) => ({ ids: [`${id}@x.org`, `C-${id}`], assign: { city: 'Ghent' } })),
    );
  };

  it('are left by a delete flag as by any erasure, for the goals of their segments and in their namespaces alone', async () => {
    const [ours, others] = [await read(everyone), await read(nobody)];
    await people('one', 'two');
    await importRows(store, await fileShape(store, ['email', 'customerId'], { uses }), [
      { ids: [null, 'C-one'], erase: true },
    ]);
    const chosen = sql`SELECT profile_id FROM profile.identity WHERE value = 'two@x.org'`;
    await store.database.transaction((tx) => eraseProfiles(tx, store.workspaceId, chosen));
    expect((await words(ours.goalId)).map((text) => JSON.parse(text) as unknown)).toEqual([
      { identities: { [email]: ['one@x.org'] } },
      { identities: { [email]: ['two@x.org'] } },
    ]);
    expect(await words(others.goalId)).toEqual([]);
    await store.database.query(sql`UPDATE profile.tombstone SET erased_at = now() - interval '101 days'`);
    expect(await removeOldTombstones(store.database, 100)).toBe(2);
    expect(await words(ours.goalId)).toEqual([]);
  });

  it('are all there of more people than are sealed at once', async () => {
    const { goalId } = await read(everyone);
    const ids = Array.from({ length: 4500 }, (_, index) => `many-${index}`);
    await people(...ids);
    const chosen = sql`SELECT profile_id FROM profile.identity WHERE value LIKE 'many-%'`;
    expect(await store.database.transaction((tx) => eraseProfiles(tx, store.workspaceId, chosen))).toBe(4500);
    expect(new Set(await words(goalId)).size).toBe(4500);
    await store.database.transaction((tx) => removeErasureReader(tx, goalId));
    expect(await words(goalId)).toEqual([]);
  });

  it('are not missed by a goal that registers while somebody is being erased', async () => {
    await people('late');
    const chosen = sql`SELECT profile_id FROM profile.identity WHERE value = 'late@x.org'`;
    let registering: Promise<ErasureReader> | undefined;
    let registered = false;
    await store.database.transaction(async (tx) => {
      await eraseProfiles(tx, store.workspaceId, chosen);
      registering = read(everyone);
      registering.then(
        () => (registered = true),
        () => undefined,
      );
      await waitFor(
        async () =>
          (await store.database.query(sql`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).rowCount >
          0,
        30_000,
        'the goal to wait for the erasure',
      );
      expect(registered).toBe(false);
    });
    // Whatever it plans after this sees the person as erased: there is nothing to be told.
    expect(await words((await registering)!.goalId)).toEqual([]);
  });
});

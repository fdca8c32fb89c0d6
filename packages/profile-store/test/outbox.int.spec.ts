import { sql } from '@millrace/database';
import { ingestBatch, registerStreamTarget } from '../src/index.js';
import { createStore, fileShape, importRows, type StoreFixture } from './store-fixture.js';

describe('what a change leaves behind', () => {
  let store: StoreFixture;
  let cityId: number;

  beforeAll(async () => {
    store = await createStore('outbox');
    cityId = await store.addProperty('city');
    await store.addProperty('points', { type: 'decimal' });
    await store.database.transaction((tx) =>
      registerStreamTarget(tx, {
        goalId: '00000000-0000-4000-8000-000000000001',
        workspaceId: store.workspaceId,
        propertyIds: [cityId],
        suppressSameValue: true,
      }),
    );
  });

  afterAll(async () => {
    await store.close();
  });

  const outboxOf = async (email: string): Promise<readonly object[]> => {
    const { rows } = await store.database.query<object>(sql`
      SELECT o.written, o.changed, o.identities, o.consent FROM profile.outbox o JOIN profile.identity i ON i.profile_id = o.profile_id
      WHERE i.value = ${email} ORDER BY o.id`);
    return rows;
  };

  const versionOf = async (email: string): Promise<bigint> => {
    const { rows } = await store.database.query<{ version: string }>(sql`
      SELECT p.version FROM profile.profile p JOIN profile.identity i ON i.profile_id = p.id WHERE i.value = ${email}`);
    return BigInt(rows[0]!.version);
  };

  const created = { written: [], changed: [], identities: true, consent: false };

  it('notes the profiles a chunk creates beside those it updates', async () => {
    await importRows(store, await fileShape(store, ['email']), [{ ids: ['old@o.test'], assign: { city: 'Bonn' } }]);
    await importRows(store, await fileShape(store, ['email']), [
      { ids: ['old@o.test'], assign: { city: 'Trier' } },
      { ids: ['new@o.test'], assign: { city: 'Ulm' } },
      { ids: ['twice@o.test'], assign: { city: 'Ulm' } },
      { ids: ['twice@o.test'], assign: { city: 'Ulm' } },
    ]);
    expect(await outboxOf('old@o.test')).toEqual([
      created,
      { written: [cityId], changed: [cityId], identities: false, consent: false },
    ]);
    expect(await outboxOf('new@o.test')).toEqual([created]);
    expect(await outboxOf('twice@o.test')).toEqual([created]);
  });

  it('notes a value that set-if-empty filled in, and none that stood already', async () => {
    const uses = { fill: true, clear: false, append: [], increment: [], consent: false };
    await importRows(store, await fileShape(store, ['email']), [{ ids: ['fill@o.test'] }]);
    await importRows(store, await fileShape(store, ['email'], { uses }), [
      { ids: ['fill@o.test'], fill: { city: 'Bonn' } },
    ]);
    await importRows(store, await fileShape(store, ['email'], { uses }), [
      { ids: ['fill@o.test'], fill: { city: 'Ulm' } },
    ]);
    expect(await outboxOf('fill@o.test')).toEqual([
      created,
      { written: [cityId], changed: [cityId], identities: false, consent: false },
    ]);
  });

  it('leaves one row where items of a batch write a property by different rules', async () => {
    const item = (value: unknown, rule: string): object => ({
      identities: [{ namespace: 'email', value: 'mixed@o.test' }],
      properties: [{ property: 'city', value, rule }],
    });
    const catalogue = await store.catalogue();
    const ingest = (items: readonly object[]): Promise<unknown> =>
      store.database.transaction((tx) => ingestBatch(tx, catalogue, items, { allowCreation: true }));
    await ingest([item('Bonn', 'set-if-empty'), item('Ulm', 'set'), item('', 'set-or-clear')]);
    await ingest([item('', 'set-or-clear'), item('Trier', 'set-if-empty')]);
    expect(await outboxOf('mixed@o.test')).toEqual([
      created,
      { written: [cityId], changed: [cityId], identities: false, consent: false },
    ]);
  });

  it('raises a version to the new epoch whatever changed', async () => {
    const uses = { fill: false, clear: false, append: [], increment: [], consent: true };
    await importRows(store, await fileShape(store, ['email']), [{ ids: ['epoch@o.test'] }]);
    await store.database.query(sql`UPDATE profile.store SET epoch = epoch + 1`);
    await importRows(store, await fileShape(store, ['email'], { uses }), [
      { ids: ['epoch@o.test'], consent: { newsletter: true } },
    ]);
    expect((await versionOf('epoch@o.test')) >> 40n).toBe(2n);
    expect(await outboxOf('epoch@o.test')).toEqual([
      created,
      { written: [], changed: [], identities: false, consent: true },
    ]);
  });
});

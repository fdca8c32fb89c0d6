import { sql } from '@millrace/database';
import { resolveRows } from '../src/index.js';
import {
  applyPlan,
  createStore,
  fileShape,
  importRows,
  propertiesOf,
  stageRows,
  type StoreFixture,
} from './store-fixture.js';

describe('resolving identifiers', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('identity_resolution');
    await store.addProperty('name');
  });

  afterAll(async () => {
    await store.close();
  });

  it('joins rows that name each other over several identifiers into one profile', async () => {
    const { plan, counts } = await importRows(store, await fileShape(store, ['email', 'phone']), [
      { ids: ['chain@x.test', null], assign: { name: 'a' } },
      { ids: [null, '+49301'], assign: { name: 'b' } },
      { ids: ['chain@x.test', '+49302'], assign: { name: 'c' } },
      { ids: ['chain2@x.test', '+49302'], assign: { name: 'd' } },
      { ids: ['chain2@x.test', '+49301'], assign: { name: 'e' } },
      { ids: ['alone@x.test', '+49399'], assign: { name: 'f' } },
    ]);
    expect(plan.components).toMatchObject({ a: 2, x: 0 });
    expect(counts).toMatchObject({ created: 6, profilesCreated: 2 });
    expect(await propertiesOf(store, '+49301', 'phone')).toBe('{"name": "e"}');
  });

  it('calls a component that reaches two profiles ambiguous and writes nothing of it', async () => {
    await importRows(store, await fileShape(store, ['email', 'phone']), [
      { ids: ['left@x.test', null], assign: { name: 'left' } },
      { ids: [null, '+1555'], assign: { name: 'right' } },
    ]);
    const { plan, counts } = await importRows(store, await fileShape(store, ['email', 'phone']), [
      { ids: ['left@x.test', '+1555'], assign: { name: 'both' } },
      { ids: ['left@x.test', null], assign: { name: 'dragged along' } },
    ]);
    expect(plan.rows).toMatchObject({ a: 0, x: 2 });
    expect(counts).toMatchObject({ updated: 0, created: 0 });
    expect(await propertiesOf(store, 'left@x.test')).toBe('{"name": "left"}');
  });

  it('lets the first identifier decide under first match', async () => {
    const { plan } = await importRows(store, await fileShape(store, ['email', 'phone'], { policy: 'first-match' }), [
      { ids: ['left@x.test', '+1555'], assign: { name: 'by e-mail' } },
    ]);
    expect(plan.rows).toMatchObject({ a: 1, x: 0 });
    expect(await propertiesOf(store, 'left@x.test')).toBe('{"name": "by e-mail"}');
    expect(await propertiesOf(store, '+1555', 'phone')).toBe('{"name": "right"}');
  });

  it('calls a component above the configured size ambiguous', async () => {
    const rows = Array.from({ length: 6 }, () => ({ ids: ['placeholder@x.test'], assign: {} }));
    const { plan } = await importRows(store, await fileShape(store, ['email'], { maxComponentRows: 5 }), rows);
    expect(plan.rows).toMatchObject({ a: 0, o: 6 });
  });

  it('gives a row its profile found by either of two addresses of the same namespace', async () => {
    await importRows(store, await fileShape(store, ['email', 'email']), [
      { ids: ['first@x.test', 'second@x.test'], assign: { name: 'two addresses' } },
    ]);
    const { plan, counts } = await importRows(store, await fileShape(store, ['email']), [
      { ids: ['first@x.test'], assign: { name: 'x' } },
      { ids: ['second@x.test'], assign: { name: 'y' } },
    ]);
    expect(plan.components.a).toBe(1);
    expect(counts).toMatchObject({ updated: 2, profilesUpdated: 1 });
    expect(await propertiesOf(store, 'first@x.test')).toBe('{"name": "y"}');
  });

  it('applies a component in the final chunk when another writer took its identity between plan and apply', async () => {
    const slow = await fileShape(store, ['email']);
    const rows = [
      { ids: ['race@x.test'], assign: { name: 'slow' } },
      { ids: ['calm@x.test'], assign: { name: 'calm' } },
    ];
    await store.database.transaction((tx) => stageRows(tx, slow, rows));
    const plan = await store.database.transaction((tx) => resolveRows(tx, slow));
    await importRows(store, await fileShape(store, ['email']), [
      { ids: ['race@x.test'], assign: { name: 'fast', city: 'Bonn' } },
    ]);
    const counts = await applyPlan(store, slow, plan);
    expect(counts).toMatchObject({ created: 1, updated: 1 });
    expect(await propertiesOf(store, 'race@x.test')).toBe('{"city": "Bonn", "name": "slow"}');
    const { rows: profiles } = await store.database.query<{ count: number }>(
      sql`SELECT count(*)::int AS count FROM profile.profile p WHERE NOT EXISTS (SELECT FROM profile.identity i WHERE i.profile_id = p.id)`,
    );
    expect(profiles[0]!.count).toBe(0);
  });

  it('gives new profiles version 7 ids that rise with the line and end evenly', async () => {
    const shape = await fileShape(store, ['email']);
    const rows = Array.from({ length: 2000 }, (_, index) => ({ ids: [`new${index}@x.test`], assign: {} }));
    await store.database.transaction((tx) => stageRows(tx, shape, rows));
    await store.database.transaction((tx) => resolveRows(tx, shape));
    const { rows: plan } = await store.database.query<{ profile_id: string }>(
      sql`SELECT profile_id FROM ${sql.id(shape.plan.schema, shape.plan.name)} ORDER BY component`,
    );
    const ids = plan.map((row) => row.profile_id);
    expect(ids).toHaveLength(2000);
    expect(
      ids.filter((id) => !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)),
    ).toEqual([]);
    expect(ids.every((id, index) => index === 0 || id > ids[index - 1]!)).toBe(true);
    expect(Math.abs(Date.now() - parseInt(ids[0]!.replaceAll('-', '').slice(0, 12), 16))).toBeLessThan(3_600_000);
    // Lanes of the stream are their last bytes.
    expect(new Set(ids.map((id) => id.slice(-2))).size).toBeGreaterThan(240);
  });

  it('sees identifiers that repeat where it looks for them over another connection', async () => {
    const shape = await fileShape(store, ['email']);
    const rows = ['a@x.test', 'b@x.test', 'a@x.test'].map((id) => ({ ids: [id], assign: {} }));
    await store.database.transaction((tx) => stageRows(tx, shape, rows));
    const plan = await store.database.transaction((tx) => resolveRows(tx, shape, store.database));
    expect(plan).toMatchObject({ rows: { a: 3 }, components: { a: 2 } });
  });
});

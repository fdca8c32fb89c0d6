import { createStore, countOf, fileShape, importRows, propertiesOf, type StoreFixture } from './store-fixture.js';

describe('merging rows into profiles', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('merge_rules');
    await store.addProperty('name');
    await store.addProperty('tags', { list: true });
    await store.addProperty('spent', { type: 'decimal' });
  });

  afterAll(async () => {
    await store.close();
  });

  const all = { fill: true, clear: true, append: ['tags'], increment: ['spent'], consent: false };

  it('creates one profile for each new identifier', async () => {
    const shape = await fileShape(store, ['email']);
    const { counts } = await importRows(store, shape, [
      { ids: ['new1@x.test'], assign: { name: 'One' } },
      { ids: ['new2@x.test'], assign: { name: 'Two' } },
    ]);
    expect(counts).toMatchObject({ created: 2, profilesCreated: 2, updated: 0, unchanged: 0 });
    expect(await propertiesOf(store, 'new1@x.test')).toBe('{"name": "One"}');
  });

  it('leaves a profile row alone when nothing differs', async () => {
    const shape = await fileShape(store, ['email']);
    await importRows(store, shape, [{ ids: ['same@x.test'], assign: { name: 'Same' } }]);
    const again = await importRows(store, await fileShape(store, ['email']), [
      { ids: ['same@x.test'], assign: { name: 'Same' } },
    ]);
    expect(again.counts).toMatchObject({ created: 0, updated: 0, unchanged: 1, profilesUnchanged: 1 });
  });

  it('takes a list assigned over one that holds it for a change', async () => {
    await importRows(store, await fileShape(store, ['email']), [
      { ids: ['list@x.test'], assign: { tags: ['a', 'b'] } },
    ]);
    const { counts } = await importRows(store, await fileShape(store, ['email']), [
      { ids: ['list@x.test'], assign: { tags: ['a'] } },
    ]);
    expect(counts).toMatchObject({ updated: 1, unchanged: 0 });
    expect(await propertiesOf(store, 'list@x.test')).toBe('{"tags": ["a"]}');
  });

  it('acts in file order when one profile has several rows in a file', async () => {
    const shape = await fileShape(store, ['email'], { uses: all });
    const { counts, plan } = await importRows(store, shape, [
      {
        ids: ['fold@x.test'],
        assign: { name: 'first' },
        fill: { once: 'kept' },
        append: { tags: ['a', 'b'] },
        increment: { spent: 0.1 },
      },
      { ids: ['other@x.test'], assign: { name: 'between' } },
      {
        ids: ['fold@x.test'],
        assign: { name: null },
        fill: { once: 'late' },
        append: { tags: ['b', 'c'] },
        increment: { spent: 0.2 },
      },
      { ids: ['fold@x.test'], assign: { name: 'last' } },
    ]);
    expect(plan.components.a).toBe(2);
    expect(counts).toMatchObject({ created: 4, profilesCreated: 2 });
    expect(JSON.parse((await propertiesOf(store, 'fold@x.test'))!)).toEqual({
      name: 'last',
      once: 'kept',
      spent: 0.3,
      tags: ['a', 'b', 'c'],
    });
  });

  it('merges into an existing profile by every rule, decimals exact', async () => {
    const first = await fileShape(store, ['email'], { uses: all });
    await importRows(store, first, [
      { ids: ['rules@x.test'], assign: { name: 'old', gone: 'x' }, append: { tags: ['a'] }, increment: { spent: 0.1 } },
    ]);
    const second = await fileShape(store, ['email'], { uses: all });
    const { counts } = await importRows(store, second, [
      {
        ids: ['rules@x.test'],
        assign: { gone: null },
        fill: { name: 'ignored', city: 'Bonn' },
        append: { tags: ['b', 'a'] },
        increment: { spent: 0.2 },
      },
    ]);
    expect(counts).toMatchObject({ updated: 1, profilesUpdated: 1 });
    expect(await propertiesOf(store, 'rules@x.test')).toBe(
      '{"city": "Bonn", "name": "old", "tags": ["a", "b"], "spent": 0.3}',
    );
  });

  it('skips unknown identifiers where creation is not allowed', async () => {
    const before = await countOf(store, 'profile');
    const { plan } = await importRows(store, await fileShape(store, ['email'], { allowCreation: false }), [
      { ids: ['nobody@x.test'], assign: { name: 'x' } },
    ]);
    expect(plan.rows).toMatchObject({ a: 0, u: 1 });
    expect(await countOf(store, 'profile')).toBe(before);
  });

  it('writes chunk by chunk and reaches the same profiles', async () => {
    const rows = Array.from({ length: 25 }, (_, index) => ({
      ids: [`chunk${index % 20}@x.test`],
      increment: { spent: 1 },
    }));
    const shape = await fileShape(store, ['email'], {
      uses: { ...all, fill: false, clear: false, append: [] },
      chunkLines: 7,
    });
    const { counts, plan } = await importRows(store, shape, rows);
    expect(plan.chunks).toBeGreaterThan(1);
    expect(counts).toMatchObject({ created: 25, profilesCreated: 20 });
    expect(await propertiesOf(store, 'chunk3@x.test')).toBe('{"spent": 2}');
    expect(await propertiesOf(store, 'chunk9@x.test')).toBe('{"spent": 1}');
  });
});

describe('merging rows where no property is a list', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('merge_scalars');
    await store.addProperty('name');
    await store.addProperty('spent', { type: 'decimal' });
  });

  afterAll(async () => {
    await store.close();
  });

  it('updates the profiles that lack a value of their row and leaves the others alone', async () => {
    await importRows(store, await fileShape(store, ['email']), [
      { ids: ['holds@x.test'], assign: { name: 'Ann', spent: 1.5 } },
      { ids: ['other@x.test'], assign: { name: 'Bob', spent: 2 } },
      { ids: ['lacks@x.test'], assign: { name: 'Cid' } },
    ]);
    const { counts } = await importRows(store, await fileShape(store, ['email']), [
      { ids: ['holds@x.test'], assign: { name: 'Ann' } },
      { ids: ['other@x.test'], assign: { name: 'Bob', spent: 2.5 } },
      { ids: ['lacks@x.test'], assign: { name: 'Cid', spent: 0 } },
    ]);
    expect(counts).toMatchObject({ updated: 2, unchanged: 1, profilesUnchanged: 1 });
    expect(await propertiesOf(store, 'holds@x.test')).toBe('{"name": "Ann", "spent": 1.5}');
    expect(await propertiesOf(store, 'other@x.test')).toBe('{"name": "Bob", "spent": 2.5}');
    expect(await propertiesOf(store, 'lacks@x.test')).toBe('{"name": "Cid", "spent": 0}');
  });
});

import { sql } from '@millrace/database';
import { createSegment, ingestBatch, profileById, registerStreamTarget } from '../src/index.js';
import { createStore, fileShape, importRows, propertiesOf, type StoreFixture } from './store-fixture.js';

const names = [
  'quo"te\'d.na$1me',
  '__proto__.polluted',
  'constructor',
  'what?',
  'back\\slash%',
  '😀.🏳️‍🌈',
  `${'x'.repeat(149)}.${'ü'.repeat(150)}`,
];

describe('hostile input', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('hostile_input');
    const ids: number[] = [];
    for (const name of names) {
      ids.push(await store.addProperty(name));
      ids.push(await store.addProperty(`n ${name}`.slice(0, 300), { type: 'decimal' }));
      ids.push(await store.addProperty(`l ${name}`.slice(0, 300), { list: true }));
    }
    await store.addProperty('name');
    await store.addProperty('ages', { type: 'integer', list: true });
    await store.database.transaction((tx) =>
      registerStreamTarget(tx, {
        goalId: '00000000-0000-4000-8000-000000000001',
        workspaceId: store.workspaceId,
        propertyIds: ids,
        suppressSameValue: true,
      }),
    );
    await createSegment(store.database, store.workspaceId, {
      name: 'any',
      rule: {
        kind: 'any',
        rules: names.map((property) => ({ kind: 'property', property, op: 'starts-with', value: '%_\\' })),
      },
    });
  });

  afterAll(async () => {
    await store.close();
  });

  type Results = readonly { outcome: string; reason?: string | undefined; profileId?: string | undefined }[];
  const ingest = async (items: readonly unknown[]): Promise<Results> => {
    const catalogue = await store.catalogue();
    return store.database.transaction((tx) => ingestBatch(tx, catalogue, items, { allowCreation: true }));
  };
  const identified = (value: string, rest: object = {}): object => ({
    identities: [{ namespace: 'email', value }],
    ...rest,
  });
  const outcomes = (results: Results): readonly string[] => results.map(({ outcome }) => outcome);

  it('keeps properties of any name apart under every rule', async () => {
    const value = '"\\\n\t\u2028?$1 %_ \'';
    const properties = names.flatMap((property) => [
      { property, value },
      { property: `n ${property}`.slice(0, 300), value: 2, rule: 'sum' },
      { property: `l ${property}`.slice(0, 300), value: [value, 'b'], rule: 'add' },
    ]);
    await ingest([identified('names@h.test', { properties })]);
    await ingest([identified('names@h.test', { properties })]);
    const wanted = names.flatMap((name) => [
      [name, value],
      [`n ${name}`.slice(0, 300), 4],
      [`l ${name}`.slice(0, 300), [value, 'b']],
    ]);
    const stored = Object.entries(JSON.parse((await propertiesOf(store, 'names@h.test'))!) as object);
    expect(stored.sort()).toEqual(wanted.sort());
    const shape = await fileShape(store, ['email'], {
      uses: {
        fill: true,
        clear: true,
        append: names.map((name) => `l ${name}`.slice(0, 300)),
        increment: [],
        consent: false,
      },
    });
    const { counts } = await importRows(store, shape, [
      {
        ids: ['names@h.test'],
        assign: Object.fromEntries(names.map((name) => [name, null])),
        fill: { ...Object.fromEntries([['name', value]]) },
      },
      {
        ids: ['names@h.test'],
        append: Object.fromEntries(names.map((name) => [`l ${name}`.slice(0, 300), [value, 'c']])),
      },
    ]);
    expect(counts).toMatchObject({ updated: 2, profilesUpdated: 1 });
    const after = JSON.parse((await propertiesOf(store, 'names@h.test'))!) as Record<string, unknown>;
    expect(Object.keys(after)).toHaveLength(names.length * 2 + 1);
  });

  it('takes identifiers up to the limit, in any alphabet, and folds their case once', async () => {
    const longest = Array.from({ length: 256 }, (_, index) =>
      String.fromCodePoint(0x10400 + ((index * 7919) % 0x5000) + 0x10000),
    ).join('');
    const values = [longest, 'İSTANBUL@H.TEST', 'STRASSE@ß.TEST', 'a\\b\nc\t"@h.test', '\\.', '\\N', 'ΣΊΣΥΦΟΣ'];
    expect(outcomes(await ingest(values.map((value) => identified(value))))).toEqual(values.map(() => 'created'));
    expect(outcomes(await ingest(values.map((value) => identified(` ${value} `))))).toEqual(
      values.map(() => 'unchanged'),
    );
    expect(outcomes(await ingest([identified('x'.repeat(513)), identified('İ'.repeat(300))]))).toEqual([
      'rejected',
      'rejected',
    ]);
  });

  it('answers an empty batch, and one whose items all fail', async () => {
    expect(await ingest([])).toEqual([]);
    expect(outcomes(await ingest([null, 7, 'x', [], {}, { identities: [] }]))).toEqual(Array(6).fill('rejected'));
  });

  it('refuses to append to a single value and to add to a list', async () => {
    const results = await ingest([
      identified('rules@h.test', { properties: [{ property: 'name', value: ['a'], rule: 'add' }] }),
      identified('rules@h.test', { properties: [{ property: 'ages', value: 1, rule: 'sum' }] }),
    ]);
    expect(results.map(({ reason }) => reason)).toEqual([
      'properties.0.rule: "add" needs a list, and "name" is none',
      'properties.0.rule: "sum" needs a single number, and "ages" is none',
    ]);
  });

  it('leaves an event id with the profile that has it, or brought it first, and loses no other event', async () => {
    const event = (id: string, total: number): object => ({
      events: [{ type: 'order', id, occurredAt: '2026-01-01T00:00:00Z', properties: { total } }],
    });
    const [one, two] = await ingest([
      identified('one@h.test', event('e1', 1)),
      identified('two@h.test', event('e1', 2)),
      identified('one@h.test', event('e1', 3)),
      { identities: [{ namespace: 'email', value: 'two@h.test' }], ...event('e2', 1) },
    ]);
    await ingest([identified('one@h.test', event('e2', 2)), identified('two@h.test', event('e2', 3))]);
    const { rows } = await store.database.query<{ id: string; profile_id: string; total: string }>(
      sql`SELECT id, profile_id, properties->>'total' AS total FROM profile.event ORDER BY id`,
    );
    expect(rows).toEqual([
      { id: 'e1', profile_id: one!.profileId, total: '3' },
      { id: 'e2', profile_id: two!.profileId, total: '3' },
    ]);
  });

  it('loses no event of an item because an ambiguous one has the same', async () => {
    await ingest([identified('amb1@h.test'), { identities: [{ namespace: 'phone', value: '+4911' }] }]);
    const events = [{ type: 'order', id: 'e3', occurredAt: '2026-01-01T00:00:00Z' }];
    const results = await ingest([
      identified('sure@h.test', { events }),
      {
        identities: [
          { namespace: 'email', value: 'amb1@h.test' },
          { namespace: 'phone', value: '+4911' },
        ],
        events,
      },
    ]);
    expect(outcomes(results)).toEqual(['created', 'ambiguous']);
    expect(
      JSON.parse((await profileById(store.database, store.workspaceId, results[0]!.profileId!))!).events,
    ).toHaveLength(1);
  });

  it('writes consent of new and of existing profiles', async () => {
    const consent = [{ objective: 'a "quoted" \\ ümläut', granted: true }];
    const [made] = await ingest([identified('consent@h.test', { consent })]);
    expect(outcomes(await ingest([identified('consent@h.test', { consent })]))).toEqual(['unchanged']);
    expect(
      outcomes(await ingest([identified('consent@h.test', { consent: [{ ...consent[0], granted: false }] })])),
    ).toEqual(['updated']);
    expect(JSON.parse((await profileById(store.database, store.workspaceId, made!.profileId!))!).consent).toEqual({
      [consent[0]!.objective]: false,
    });
  });

  it('chains a thousand items into one profile, and keeps a list of 20,000', async () => {
    const chain = Array.from({ length: 1000 }, (_, index) => ({
      identities: [index, index + 1].map((link) => ({ namespace: 'customerId', value: `link-${link}` })),
      properties: [{ property: 'ages', value: [index], rule: 'add' }],
    }));
    const results = await ingest(chain);
    expect(new Set(results.map(({ profileId }) => profileId)).size).toBe(1);
    expect(JSON.parse((await propertiesOf(store, 'link-0', 'customerId'))!).ages).toHaveLength(1000);
    const many = Array.from({ length: 20_000 }, (_, index) => index);
    const item = identified('list@h.test', { properties: [{ property: 'ages', value: many, rule: 'add' }] });
    expect(outcomes(await ingest([item, item]))).toEqual(['created', 'created']);
    expect(outcomes(await ingest([item]))).toEqual(['unchanged']);
  });

  it('adds to a thousand properties at once', async () => {
    const wide = Array.from({ length: 1000 }, (_, index) => `wide ${index}`);
    for (const name of wide) await store.addProperty(name, { type: 'integer' });
    const properties = wide.map((property) => ({ property, value: 1, rule: 'sum' }));
    await ingest([identified('wide@h.test', { properties })]);
    expect(outcomes(await ingest([identified('wide@h.test', { properties })]))).toEqual(['updated']);
    expect(JSON.parse((await propertiesOf(store, 'wide@h.test'))!)['wide 999']).toBe(2);
  });
});

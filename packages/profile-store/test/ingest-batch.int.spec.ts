import { parse } from 'lossless-json';
import { ingestBatch, profileById } from '../src/index.js';
import { createStore, propertiesOf, type StoreFixture } from './store-fixture.js';

describe('ingesting a batch', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('ingest_batch');
    await store.addProperty('name');
    await store.addProperty('points', { type: 'decimal' });
    await store.addProperty('tags', { list: true });
  });

  afterAll(async () => {
    await store.close();
  });

  const ingest = async (
    json: string,
  ): Promise<readonly { outcome: string; reason?: string | undefined; profileId?: string | undefined }[]> => {
    const catalogue = await store.catalogue();
    return store.database.transaction((tx) =>
      ingestBatch(tx, catalogue, parse(json) as unknown[], { allowCreation: true }),
    );
  };

  it('answers for each item, and one bad item spoils no other', async () => {
    const results = await ingest(`[
      {"identities": [{"namespace": "email", "value": " A@b.test "}], "properties": [{"property": "name", "value": "A"}]},
      {"identities": [{"namespace": "fax", "value": "1"}]},
      {"identities": [{"namespace": "email", "value": "c@b.test"}], "properties": [{"property": "points", "value": "many"}]},
      {"identities": [{"namespace": "email", "value": "a@b.test"}], "properties": [{"property": "name", "value": "AA"}]},
      {"properties": []}
    ]`);
    expect(results.map(({ outcome }) => outcome)).toEqual(['created', 'rejected', 'rejected', 'created', 'rejected']);
    expect(results[1]!.reason).toBe('identities.0.namespace: the workspace has no identity namespace "fax"');
    expect(results[2]!.reason).toBe('properties.0.value: the value is not a decimal number');
    expect(results[4]!.reason).toMatch(/^identities: /);
    expect(await propertiesOf(store, 'a@b.test')).toBe('{"name": "AA"}');
  });

  it('keeps every digit of a number', async () => {
    const item = (value: string): string =>
      `[{"identities": [{"namespace": "email", "value": "digits@b.test"}], "properties": [{"property": "points", "value": ${value}, "rule": "sum"}]}]`;
    await ingest(item('9007199254740993.10'));
    await ingest(item('1e-3'));
    expect(await propertiesOf(store, 'digits@b.test')).toBe('{"points": 9007199254740993.101}');
  });

  it('keeps the order of items that write one property by different rules', async () => {
    await ingest(`[
      {"identities": [{"namespace": "email", "value": "order@b.test"}], "properties": [{"property": "points", "value": 5}]},
      {"identities": [{"namespace": "email", "value": "order@b.test"}], "properties": [{"property": "points", "value": 2, "rule": "sum"}]},
      {"identities": [{"namespace": "email", "value": "order@b.test"}], "properties": [{"property": "points", "value": 10}, {"property": "tags", "value": ["x", "y", "x"], "rule": "add"}]}
    ]`);
    expect(await propertiesOf(store, 'order@b.test')).toBe('{"tags": ["x", "y"], "points": 10}');
  });

  it('writes events with their lists, and the same event id again updates', async () => {
    const item = (
      total: string,
    ): string => `[{"identities": [{"namespace": "email", "value": "buyer@b.test"}], "events": [
      {"type": "order", "id": "o-1", "occurredAt": "2026-01-02T03:04:05Z", "properties": {"total": ${total}},
       "lists": {"products": [{"productId": "p1", "quantity": 2}, {"productId": "p2", "quantity": 1.5}]}}]}]`;
    const [created] = await ingest(item('1.10'));
    await ingest(item('1.20'));
    const profile = await profileById(store.database, store.workspaceId, created!.profileId!);
    expect(profile).toContain('"properties": {"total": 1.20}');
    expect(JSON.parse(profile!).events).toHaveLength(1);
    expect(JSON.parse(profile!).events[0].lists.products).toHaveLength(2);
  });

  it('calls an item ambiguous whose identities belong to two profiles', async () => {
    await ingest(
      `[{"identities": [{"namespace": "email", "value": "one@b.test"}]}, {"identities": [{"namespace": "phone", "value": "+49 1"}]}]`,
    );
    const results = await ingest(
      `[{"identities": [{"namespace": "email", "value": "one@b.test"}, {"namespace": "phone", "value": "+491"}]}]`,
    );
    expect(results).toEqual([expect.objectContaining({ outcome: 'ambiguous' })]);
  });

  it('takes hostile property values as text', async () => {
    await ingest(
      `[{"identities": [{"namespace": "email", "value": "x'; DROP TABLE profile.profile; --@b.test"}], "properties": [{"property": "name", "value": "\\"}}'\\\\ \\u2028"}]}]`,
    );
    expect(JSON.parse((await propertiesOf(store, "x'; drop table profile.profile; --@b.test"))!)).toEqual({
      name: '"}}\'\\ \u2028',
    });
  });

  it('rejects what PostgreSQL cannot store, and nothing else', async () => {
    const item = (email: string, name: string): string =>
      `{"identities": [{"namespace": "email", "value": "${email}"}], "properties": [{"property": "name", "value": "${name}"}]}`;
    const items = [
      item('fine@b.test', '\\ud83d\\ude00'),
      item('nul@b.test', '\\u0000'),
      item('half@b.test', 'x\\ud800'),
    ];
    const results = await ingest(`[${[...items, item('\\udc00@b.test', 'x')].join(',')}]`);
    expect(results.map(({ outcome, reason }) => reason?.split(':')[0] ?? outcome)).toEqual([
      'created',
      'properties.0.value',
      'properties.0.value',
      'identities.0.value',
    ]);
  });
});

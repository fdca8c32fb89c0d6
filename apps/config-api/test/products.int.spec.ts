import { sql } from '@millrace/database';
import { startApi, w, type Api } from './api-fixture.js';

let api: Api;
let profileId: string;

const order = (id: string, occurredAt: string, products: object[]): object => ({
  type: 'order',
  id,
  occurredAt,
  lists: { products },
});

beforeAll(async () => {
  api = await startApi('products');
  const batch = await api.call('POST', `${w}/ingestion/batches`, {
    batchId: 'orders',
    updates: [
      {
        identities: [{ namespace: 'email', value: 'ada@example.org' }],
        events: [
          order('o1', '2026-01-01T00:00:00Z', [{ productId: 'p1', quantity: 5 }, { productId: 'p2' }]),
          order('o2', '2026-03-01T00:00:00Z', [{ productId: 'p2', quantity: 1.5 }]),
          order('o3', '2026-02-01T00:00:00Z', [{ productId: 'p3', name: 'Third', quantity: 1 }]),
        ],
      },
      { identities: [{ namespace: 'email', value: 'bob@example.org' }] },
    ],
  });
  profileId = batch.body.items[0].profileId;
  // As an import goal with the option `products` leaves it.
  await api.database.query(sql`
    INSERT INTO profile.product_list (event_type_id, list, id_property, name_property, quantity_property)
    SELECT id, 'products', 'productId', 'name', 'quantity' FROM profile.event_type WHERE code = 'order'`);
  await api.database.query(sql`
    INSERT INTO profile.product (workspace_id, id, name, properties, described_at)
    SELECT id, 'p1', 'Anvil', '{"unitPrice": 1234567890.10}', '2026-01-01T00:00:00Z' FROM profile.workspace WHERE name = 'acme'`);
});
afterAll(() => api.close());

it('shows a product by its id, every digit kept', async () => {
  const answer = await api.call('GET', `${w}/products/p1`);
  expect(answer.text).toContain('1234567890.10');
  expect(answer.body).toMatchObject({ id: 'p1', name: 'Anvil', describedAt: '2026-01-01T00:00:00.000Z' });
  expect((await api.call('GET', `${w}/products/p9`)).status).toBe(404);
});

it('lists what a profile has bought most and most recently', async () => {
  const list = async (query: string): Promise<[string, string | null, number, number][]> =>
    (await api.call('GET', `${w}/profiles/${profileId}/products?${query}`)).body.items.map(
      (item: { id: string; name: string | null; quantity: number; orders: number }) => [
        item.id,
        item.name,
        item.quantity,
        item.orders,
      ],
    );
  const [p1, p2, p3] = [
    ['p1', 'Anvil', 5, 1],
    ['p2', null, 2.5, 2],
    ['p3', 'Third', 1, 1],
  ];
  expect(await list('')).toEqual([p1, p2, p3]);
  expect(await list('order=most-recent')).toEqual([p2, p3, p1]);
  expect(await list('order=most-recent&limit=1')).toEqual([p2]);
});

it('answers with nothing for a profile without orders, and not at all for one that is not there', async () => {
  const bob = (await api.call('GET', `${w}/profiles?namespace=email&value=bob@example.org`)).body.id;
  expect((await api.call('GET', `${w}/profiles/${bob}/products`)).body).toEqual({ items: [] });
  const nobody = '019ac000-0000-7000-8000-000000000000';
  expect((await api.call('GET', `${w}/profiles/${nobody}/products`)).status).toBe(404);
  expect((await api.call('GET', `${w}/profiles/${bob}/products?order=dearest`)).status).toBe(400);
});

it('shows products to keys that may read profiles alone', async () => {
  const key = await api.newKey(['config:read'], 'acme');
  expect((await api.call('GET', `${w}/products/p1`, undefined, key)).status).toBe(403);
});

describe('an event type that feeds the product store', () => {
  const feed = { list: 'products', id: 'productId', name: 'name', quantity: 'quantity', properties: ['unitPrice'] };
  const ingest = async (batchId: string, id: string, occurredAt: string, products: object[]): Promise<string> => {
    const identities = [{ namespace: 'email', value: 'eve@example.org' }];
    const answer = await api.call('POST', `${w}/ingestion/batches`, {
      batchId,
      updates: [{ identities, events: [order(id, occurredAt, products)] }],
    });
    expect(answer.body.items[0]).toMatchObject({ profileId: expect.any(String) });
    return answer.body.items[0].profileId;
  };

  it('keeps the products of ingested orders as their latest order describes them, and shows what was bought', async () => {
    await ingest('before', 'e0', '2026-01-01T00:00:00Z', [{ productId: 'f0', name: 'Early', quantity: 1 }]);
    expect((await api.call('GET', `${w}/products/f0`)).status).toBe(404);
    const saved = await api.call('PUT', `${w}/event-types/order/products`, feed);
    expect(saved).toMatchObject({ status: 200, body: { code: 'order', products: feed } });
    await ingest('first', 'e1', '2026-03-01T00:00:00Z', [
      { productId: 'f1', name: 'Anvil Pro', unitPrice: 12.5, quantity: 2 },
      { productId: 'f2', quantity: 5 },
    ]);
    const eve = await ingest('second', 'e2', '2026-02-01T00:00:00Z', [
      { productId: 'f1', name: 'Anvil', unitPrice: 10, quantity: 1 },
      { productId: 'f2', name: 'Bolt' },
    ]);
    expect((await api.call('GET', `${w}/products/f1`)).body).toMatchObject({
      name: 'Anvil Pro',
      properties: { unitPrice: 12.5 },
      describedAt: '2026-03-01T00:00:00.000Z',
    });
    expect((await api.call('GET', `${w}/products/f2`)).body).toMatchObject({ name: 'Bolt' });
    const bought = async (sort: string): Promise<unknown[]> =>
      (await api.call('GET', `${w}/profiles/${eve}/products?order=${sort}`)).body.items.map(
        (item: { id: string; quantity: number }) => [item.id, item.quantity],
      );
    expect(await bought('most-bought')).toEqual([
      ['f2', 6],
      ['f1', 3],
      ['f0', 1],
    ]);
    expect((await bought('most-recent')).at(-1)).toEqual(['f0', 1]);
    // A corrected order counts as corrected.
    await ingest('third', 'e1', '2026-03-01T00:00:00Z', [{ productId: 'f1', quantity: 9 }]);
    expect(await bought('most-bought')).toEqual([
      ['f1', 10],
      ['f2', 1],
      ['f0', 1],
    ]);
  });

  it('ends when it is told to, and is part of a type from its beginning where that says so', async () => {
    expect((await api.call('DELETE', `${w}/event-types/order/products`)).body.products).toBeUndefined();
    await ingest('after', 'e3', '2026-04-01T00:00:00Z', [{ productId: 'f9', name: 'Late' }]);
    expect((await api.call('GET', `${w}/products/f9`)).status).toBe(404);
    const lists = [{ name: 'items', properties: [{ name: 'sku' }] }];
    const type = { code: 'rental', lists, products: { list: 'items', id: 'sku' } };
    expect((await api.call('POST', `${w}/event-types`, type)).status).toBe(201);
    await api.call('POST', `${w}/ingestion/batches`, {
      batchId: 'rental',
      updates: [
        {
          identities: [{ namespace: 'email', value: 'eve@example.org' }],
          events: [{ type: 'rental', id: 'r1', occurredAt: '2026-04-01T00:00:00Z', lists: { items: [{ sku: 'f8' }] } }],
        },
      ],
    });
    expect((await api.call('GET', `${w}/products/f8`)).status).toBe(200);
  });

  it('names what does not fit', async () => {
    const put = async (change: object): Promise<unknown> =>
      (await api.call('PUT', `${w}/event-types/order/products`, { ...feed, ...change })).body;
    expect(await put({ list: 'lines' })).toMatchObject({ at: 'list', status: 400 });
    expect(await put({ quantity: 'pieces' })).toMatchObject({ at: 'quantity' });
    expect(await put({ quantity: 'name' })).toMatchObject({
      detail: 'quantity: must be a number, and "name" is a string',
    });
    expect(await put({ properties: ['unitPrice', 'colour'] })).toMatchObject({ at: 'properties.1' });
    expect((await api.call('PUT', `${w}/event-types/visit/products`, feed)).status).toBe(404);
    const key = await api.newKey(['config:read'], 'acme');
    expect((await api.call('PUT', `${w}/event-types/order/products`, feed, key)).status).toBe(403);
  });
});

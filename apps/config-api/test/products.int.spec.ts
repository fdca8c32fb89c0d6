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

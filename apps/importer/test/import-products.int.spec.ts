import { sql } from '@millrace/database';
import type { ImportProfilesGoal } from '@millrace/domain';
import { boughtProducts, productById, setProductFeed } from '@millrace/profile-store';
import { ImportHarness, outcomes, silentEvents } from './import-harness.js';

let harness: ImportHarness;

beforeEach(async () => {
  harness = await ImportHarness.create('products');
});
afterEach(() => harness.close());

const goal = (changes: Record<string, unknown> = {}): ImportProfilesGoal =>
  harness.goal({
    linked: [
      { alias: 'orders', pattern: { kind: 'wildcard', pattern: 'orders*' }, column: 'id', parentColumn: 'id' },
      {
        alias: 'lines',
        parent: 'orders',
        pattern: { kind: 'wildcard', pattern: 'lines*' },
        column: 'order',
        parentColumn: 'order',
      },
    ],
    events: [
      {
        file: 'orders',
        type: 'order',
        idColumn: 'order',
        occurredAtColumn: 'at',
        lists: [
          {
            name: 'products',
            file: 'lines',
            mappings: [
              { column: 'sku', property: 'productId' },
              { column: 'title', property: 'name' },
              { column: 'price', property: 'unitPrice' },
              { column: 'pieces', property: 'quantity' },
            ],
          },
        ],
        products: { list: 'products', id: 'productId', name: 'name', quantity: 'quantity', properties: ['unitPrice'] },
        ...changes,
      },
    ],
  });

async function product(id: string): Promise<unknown> {
  const text = await productById(harness.database, harness.workspaceId, id);
  return text === undefined ? undefined : JSON.parse(text);
}

async function bought(id: string, order: 'most-bought' | 'most-recent'): Promise<readonly [string, number][]> {
  const { rows } = await harness.database.query<{ profile_id: string }>(
    sql`SELECT profile_id FROM profile.identity WHERE value = ${id}`,
  );
  const query = { order, limit: 10 };
  const text = await boughtProducts(harness.database, harness.workspaceId, rows[0]!.profile_id, query);
  return (JSON.parse(text!) as { id: string; quantity: number }[]).map((item) => [item.id, item.quantity]);
}

it('orders feed the product store where their type says so and the goal does not', async () => {
  const feed = { list: 'products', id: 'productId', name: 'name', properties: [] };
  await harness.database.transaction((tx) => setProductFeed(tx, harness.workspaceId, 'order', feed));
  harness.startWorker();
  await harness.put('customers_1.csv', 'id\nc1\n');
  await harness.put('orders_1.csv', 'order,id,at\no1,c1,2026-02-01\n');
  await harness.put('lines_1.csv', 'order,sku,title,price,pieces\no1,p1,Anvil,10.10,2\n');
  expect((await harness.run(goal({ products: undefined }))).counts).toMatchObject({ events: 1, products: 1 });
  expect(await product('p1')).toMatchObject({ name: 'Anvil', properties: {} });
  expect(await bought('c1', 'most-bought')).toEqual([['p1', 1]]);
});

describe('order lines', () => {
  it('feed the product store, each product as its latest order describes it, whatever comes first', async () => {
    harness.startWorker();
    await harness.put('customers_1.csv', 'id\nc1\nc2\n');
    await harness.put('orders_1.csv', 'order,id,at\no1,c1,2026-02-01\no2,c2,2026-03-01\n');
    await harness.put(
      'lines_1.csv',
      'order,sku,title,price,pieces\no1,p1,Anvil,10.10,2\no1,p2,Bolt,,7\no2,p1,Anvil Pro,12.50,1\no2,,Nothing,1,1\n',
    );
    const run = await harness.run(goal());
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { created: 2, events: 2, eventLines: 4, products: 2 } });
    expect(outcomes(run.counts)).toBe(2);
    expect(await product('p1')).toMatchObject({
      name: 'Anvil Pro',
      properties: { unitPrice: 12.5 },
      describedAt: '2026-03-01T00:00:00.000Z',
    });
    expect(await product('p2')).toMatchObject({ name: 'Bolt', properties: {} });
    // An older order arrives later: it fills what nobody has said, and overwrites nothing.
    await harness.put('customers_2.csv', 'id\nc1\n');
    await harness.put('orders_2.csv', 'order,id,at\no3,c1,2026-01-01\n');
    await harness.put('lines_2.csv', 'order,sku,title,price,pieces\no3,p1,Old anvil,9,1\no3,p2,Old bolt,0.5,1\n');
    await harness.run(goal());
    expect(await product('p1')).toMatchObject({ name: 'Anvil Pro', properties: { unitPrice: 12.5 } });
    expect(await product('p2')).toMatchObject({ name: 'Bolt', properties: { unitPrice: 0.5 } });
    expect(await bought('c1', 'most-bought')).toEqual([
      ['p2', 8],
      ['p1', 3],
    ]);
    expect(await bought('c2', 'most-recent')).toEqual([['p1', 1]]);
  });

  it('leave the product store alone where the goal does not ask for it', async () => {
    harness.startWorker();
    await harness.put('customers_1.csv', 'id\nc1\n');
    await harness.put('orders_1.csv', 'order,id,at\no1,c1,2026-02-01\n');
    await harness.put('lines_1.csv', 'order,sku,title,price,pieces\no1,p1,Anvil,10.10,2\n');
    expect((await harness.run(goal({ products: undefined }))).counts).toMatchObject({ eventLines: 1, products: 0 });
    expect(await product('p1')).toBeUndefined();
  });

  it('give the same products from many chunks in two lanes, with a worker that dies on the way', async () => {
    const customers = Array.from({ length: 60 }, (_, number) => number);
    const day = (number: number): string =>
      `2026-01-${String(1 + (number % 28)).padStart(2, '0')}T00:00:${String(number).padStart(2, '0')}Z`;
    await harness.put('customers_1.csv', `id\n${customers.map((number) => `c${number}`).join('\n')}\n`);
    await harness.put(
      'orders_1.csv',
      `order,id,at\n${customers.map((number) => `o${number},c${number},${day(number)}`).join('\n')}\n`,
    );
    await harness.put(
      'lines_1.csv',
      `order,sku,title,price,pieces\n${customers.flatMap((number) => [`o${number},p1,Name ${number},${number},1`, `o${number},q${number % 5},Q,1,1`]).join('\n')}\n`,
    );
    let died = false;
    const events = {
      ...silentEvents,
      chunkApplied: (): void => {
        if (died) return;
        died = true;
        throw new Error('the worker dies here');
      },
    };
    harness.startWorker({ events, settings: { chunkLines: 7, lanes: 2 } });
    const run = await harness.run(goal());
    expect(died).toBe(true);
    expect(run).toMatchObject({ outcome: 'succeeded', counts: { created: 60, events: 60, eventLines: 120 } });
    const latest = customers.reduce((left, right) => (day(left) > day(right) ? left : right));
    expect(await product('p1')).toMatchObject({ name: `Name ${latest}`, properties: { unitPrice: latest } });
    const { rows } = await harness.database.query<{ products: number }>(
      sql`SELECT count(*)::int AS products FROM profile.product`,
    );
    expect(rows).toEqual([{ products: 6 }]);
  });
});

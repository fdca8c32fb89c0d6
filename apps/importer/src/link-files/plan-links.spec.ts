import { importProfilesGoal } from '@millrace/domain';
import { planLinks, type LinkPlan } from './plan-links.js';

const link = (alias: string, parent: string, column = 'id', parentColumn = 'id') => ({
  alias,
  parent,
  column,
  parentColumn,
  pattern: { kind: 'exact', name: `${alias}.csv` },
});
const event = (file: string, lists: { name: string; file: string }[] = []) => ({
  file,
  type: 'order',
  idColumn: 'id',
  occurredAtColumn: 'at',
  lists: lists.map((list) => ({ ...list, mappings: [{ column: 'a', property: 'a' }] })),
});
const plan = (linked: object[], events: object[] = []): LinkPlan =>
  planLinks(
    importProfilesGoal.parse({
      kind: 'import-profiles',
      name: 'customers',
      source: { bucket: 'bucket', pattern: { kind: 'exact', name: 'customers.csv' } },
      matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
      linked,
      events,
    }),
  );

describe('planLinks', () => {
  it('puts every file after its parent', () => {
    const files = plan([link('lines', 'orders'), link('orders', 'root'), link('products', 'lines')]);
    expect(files.map((file) => file.alias)).toEqual(['root', 'orders', 'lines', 'products']);
  });

  it('keeps each column that files below join on once', () => {
    const [root] = plan([
      link('orders', 'root', 'customer', 'id'),
      link('visits', 'root', 'who', 'id'),
      link('mails', 'root', 'to', 'email'),
    ]);
    expect(root?.keyColumns).toEqual(['id', 'email']);
  });

  it('lets the first use of a file count its rows', () => {
    const files = plan(
      [link('orders', 'root'), link('lines', 'orders')],
      [
        event('orders', [
          { name: 'products', file: 'lines' },
          { name: 'extras', file: 'lines' },
        ]),
        event('orders'),
      ],
    );
    expect(files[1]?.events.map((use) => use.counts)).toEqual([true, false]);
    expect(files[2]?.lists.map((use) => use.counts)).toEqual([true, false]);
  });

  it('does not count root rows as linked rows', () => {
    expect(plan([], [event('root')])[0]?.events[0]?.counts).toBe(false);
  });

  it('refuses an alias used twice', () => {
    expect(() => plan([link('orders', 'root'), link('orders', 'root')])).toThrow(
      'linked.1.alias: "orders" is already the name',
    );
  });

  it('refuses a parent that is not there', () => {
    expect(() => plan([link('orders', 'customers')])).toThrow('linked.0.parent: there is no file "customers"');
  });

  it('refuses files linked in a circle', () => {
    expect(() => plan([link('a', 'b'), link('b', 'a')])).toThrow('linked.0.parent: "a" is linked to itself');
  });

  it('refuses an event from a file that is not there', () => {
    expect(() => plan([], [event('orders')])).toThrow('events.0.file: there is no file "orders"');
  });

  it('refuses a list whose file does not lie below that of its event', () => {
    const linked = [link('orders', 'root'), link('visits', 'root')];
    expect(() => plan(linked, [event('orders', [{ name: 'products', file: 'visits' }])])).toThrow(
      'events.0.lists.0.file: the rows of "visits" cannot be nested in events of "orders"',
    );
  });

  it('takes a list from a file two levels below its event', () => {
    const files = plan(
      [link('orders', 'root'), link('parcels', 'orders'), link('items', 'parcels')],
      [event('orders', [{ name: 'products', file: 'items' }])],
    );
    expect(files[3]?.lists).toHaveLength(1);
  });
});

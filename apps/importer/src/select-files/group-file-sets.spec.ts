import { importProfilesGoal, type FilePattern } from '@millrace/domain';
import { groupFileSets, type SourceObject } from './group-file-sets.js';

const object = (name: string, day = 1): SourceObject => ({
  key: `in/${name}`,
  name,
  size: 1,
  etag: `"${name}"`,
  lastModified: new Date(Date.UTC(2026, 0, day)),
});

const goal = (pattern: FilePattern, linked: Record<string, FilePattern> = {}, order: 'name' | 'oldest' = 'name') =>
  importProfilesGoal.parse({
    kind: 'import-profiles',
    name: 'customers',
    source: { bucket: 'bucket', directory: 'in', pattern, order },
    matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
    linked: Object.entries(linked).map(([alias, linkedPattern]) => ({
      alias,
      pattern: linkedPattern,
      column: 'id',
      parentColumn: 'id',
    })),
  });

const wildcard = (pattern: string): FilePattern => ({ kind: 'wildcard', pattern });
const regex = (pattern: string): FilePattern => ({ kind: 'regex', pattern });
const exact = (name: string): FilePattern => ({ kind: 'exact', name });

describe('groupFileSets', () => {
  it('takes matching files in natural name order', () => {
    const sets = groupFileSets(goal(wildcard('p_*.csv')), [object('p_10.csv'), object('p_9.csv'), object('q_1.csv')]);
    expect(sets.map((set) => set.root.name)).toEqual(['p_9.csv', 'p_10.csv']);
  });

  it('takes the oldest first on request', () => {
    const sets = groupFileSets(goal({ kind: 'every' }, {}, 'oldest'), [object('a', 3), object('b', 1), object('c', 2)]);
    expect(sets.map((set) => set.root.name)).toEqual(['b', 'c', 'a']);
  });

  it('ignores files marked done, deeper folders and folder placeholders', () => {
    expect(groupFileSets(goal({ kind: 'every' }), [object('a.csv.done'), object('old/a.csv'), object('')])).toEqual([]);
  });

  it('gives each root the linked files with the same variable part', () => {
    const sets = groupFileSets(goal(wildcard('p_20*.csv'), { orders: wildcard('o_20*.csv') }), [
      object('p_20244.csv'),
      object('o_20244.csv'),
      object('p_2025.csv'),
      object('o_2025.csv'),
    ]);
    expect(sets.map((set) => [set.root.name, set.linked[0]?.object.name])).toEqual([
      ['p_2025.csv', 'o_2025.csv'],
      ['p_20244.csv', 'o_20244.csv'],
    ]);
  });

  it('names both files when a linked one is missing', () => {
    const act = (): unknown =>
      groupFileSets(goal(wildcard('p_20*.csv'), { orders: wildcard('o_20*.csv') }), [
        object('p_20244.csv'),
        object('o_20245.csv'),
      ]);
    expect(act).toThrow('"p_20244.csv" needs the linked file "o_20244.csv" (orders)');
  });

  it('shares a linked file with an exact name among the roots', () => {
    const sets = groupFileSets(goal(wildcard('p_*.csv'), { products: exact('products.csv') }), [
      object('p_1.csv'),
      object('p_2.csv'),
      object('products.csv'),
    ]);
    expect(sets.map((set) => set.linked[0]?.object.name)).toEqual(['products.csv', 'products.csv']);
  });

  it('links by the groups of regular expressions', () => {
    const files = [object('p_7.csv'), object('orders-7.csv'), object('orders-8.csv')];
    const [set] = groupFileSets(goal(regex('p_(\\d+)\\.csv'), { orders: regex('orders-(\\d+)\\.csv') }), files);
    expect(set?.linked[0]?.object.name).toBe('orders-7.csv');
  });

  it('refuses two candidates for one linked file', () => {
    const files = [object('p_7.csv'), object('o7a.csv'), object('o7b.csv')];
    expect(() => groupFileSets(goal(regex('p_(\\d+)\\.csv'), { orders: regex('o(\\d+)[ab]\\.csv') }), files)).toThrow(
      '"o7a.csv" and "o7b.csv" both match',
    );
  });

  it('explains a linked pattern whose variable parts differ in number', () => {
    const files = [object('p_7.csv'), object('o_7_1.csv')];
    expect(() => groupFileSets(goal(wildcard('p_*.csv'), { orders: wildcard('o_*_*.csv') }), files)).toThrow(
      '"p_7.csv" needs a linked file (orders) that matches "o_*_*.csv" with the same variable parts as in "p_*.csv": "7"',
    );
  });

  it('refuses a file that would be root and linked at once', () => {
    expect(() => groupFileSets(goal(exact('a.csv'), { orders: exact('a.csv') }), [object('a.csv')])).toThrow(
      '"a.csv" would be read both as the root and as the linked file orders',
    );
  });

  it('leaves linked files out of "every file"', () => {
    const sets = groupFileSets(goal({ kind: 'every' }, { orders: exact('orders.csv') }), [
      object('a.csv'),
      object('orders.csv'),
    ]);
    expect(sets.map((set) => set.root.name)).toEqual(['a.csv']);
  });
});

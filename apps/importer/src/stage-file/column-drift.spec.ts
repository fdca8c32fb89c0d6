import { importProfilesGoal, type ImportProfilesGoal } from '@millrace/domain';
import { columnDrift, columnsRead, judgeDrift } from './column-drift.js';
import { planLinks } from '../link-files/plan-links.js';

const goal = (changes: Record<string, unknown> = {}): ImportProfilesGoal =>
  importProfilesGoal.parse({
    kind: 'import-profiles',
    name: 'customers',
    source: { bucket: 'bucket', pattern: { kind: 'every' } },
    matching: { identifiers: [{ column: 'id', namespace: 'customerId' }] },
    ...changes,
  });
const policy = (drift: Record<string, unknown> = {}) => goal({ columnDrift: drift }).columnDrift;
const before = (...columns: string[]) => ({ name: 'in/a.csv', columns });

describe('columnDrift', () => {
  it('finds nothing in a first file that has what the goal reads', () => {
    const seen = { now: ['id', 'name', 'more'], before: undefined, read: ['id', 'name'] };
    expect(columnDrift(seen, policy({ new: 'fail', reordered: 'fail', missing: 'fail', duplicate: 'fail' }))).toEqual(
      [],
    );
  });

  it('tells by default of columns that came or went, and leaves to reading what the goal reads', () => {
    const seen = { now: ['id', 'secret name'], before: before('id', 'old', 'name'), read: ['id', 'name'] };
    expect(columnDrift(seen, policy())).toEqual([
      { policy: 'warn', message: 'missing columns since in/a.csv: "old"' },
      { policy: 'warn', message: 'new columns since in/a.csv, in positions 2' },
    ]);
  });

  it('does with each kind what the goal chooses', () => {
    const seen = { now: ['b', 'a', 'a', 'new'], before: before('a', 'b', 'gone'), read: ['a', 'lost'] };
    const found = (drift: Record<string, unknown>) => columnDrift(seen, policy({ new: 'ignore', ...drift }));
    expect(found({ missing: 'fail', duplicate: 'ignore' })).toEqual([
      { policy: 'fail', message: 'missing columns since in/a.csv: "lost"' },
      { policy: 'fail', message: 'missing columns since in/a.csv: "gone"' },
    ]);
    expect(found({ missing: 'ignore', duplicate: 'warn' })).toEqual([
      { policy: 'warn', message: 'columns whose name stands more than once: "a"' },
    ]);
    expect(found({ missing: 'ignore', duplicate: 'ignore', new: 'fail' })).toEqual([
      { policy: 'fail', message: 'new columns since in/a.csv, in positions 4' },
    ]);
  });

  it('sees another order of the columns that stayed', () => {
    const seen = { now: ['b', 'new', 'a'], before: before('a', 'b'), read: [] };
    expect(columnDrift(seen, policy({ new: 'ignore', reordered: 'warn' }))).toEqual([
      { policy: 'warn', message: 'the columns stand in another order than in in/a.csv' },
    ]);
    expect(columnDrift({ ...seen, now: ['a', 'new', 'b'] }, policy({ new: 'ignore', reordered: 'fail' }))).toEqual([]);
  });

  it('names a repeated column that nobody knows by its position, as it may be data', () => {
    const seen = { now: ['id', 'Ann', 'Ann'], before: undefined, read: ['id'] };
    expect(columnDrift(seen, policy())[0]?.message).toBe('columns whose name stands more than once: in position 2');
  });
});

describe('judgeDrift', () => {
  it('ends the import with everything that fails, or gives back what is told', () => {
    const told = { policy: 'warn', message: 'w' } as const;
    expect(judgeDrift([told])).toEqual(['w']);
    const fails = { policy: 'fail', message: 'f' } as const;
    expect(() => judgeDrift([fails, told, { ...fails, message: 'g' }])).toThrow('f; g: nothing was imported');
  });
});

it('a goal reads what its parts name, without what its processors make', () => {
  const linked = goal({
    linked: [{ alias: 'orders', pattern: { kind: 'exact', name: 'o' }, column: 'customer', parentColumn: 'key' }],
    events: [
      {
        file: 'orders',
        type: 'order',
        idColumn: 'no',
        occurredAtColumn: 'at',
        mappings: [{ column: 'sum', property: 'total' }],
      },
    ],
    processors: [{ kind: 'concatenate', columns: ['first', 'last'], into: 'full' }],
    mappings: [{ column: 'full', property: 'name' }],
    consent: [{ column: 'news', objective: 'news' }],
    deleteFlag: { column: 'gone' },
  });
  const [root, orders] = planLinks(linked);
  expect([...columnsRead(linked, root!)].sort()).toEqual(['first', 'gone', 'id', 'key', 'last', 'news']);
  expect([...columnsRead(linked, orders!)].sort()).toEqual(['at', 'customer', 'no', 'sum']);
});

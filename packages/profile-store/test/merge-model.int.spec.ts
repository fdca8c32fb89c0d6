import { sql } from '@millrace/database';
import { ingestBatch } from '../src/index.js';
import { generator, type Generator } from './generator.js';
import { countOf, createStore, fileShape, importRows, type StagedRow, type StoreFixture } from './store-fixture.js';

type Values = Map<string, string | number | readonly string[]>;

/** One write of one property; the value as it is staged. */
interface Write {
  readonly property: string;
  readonly rule: 'set' | 'set-if-empty' | 'set-or-clear' | 'add' | 'sum';
  readonly value: string | number | readonly string[] | null;
}

interface Row {
  readonly ids: readonly (string | null)[];
  readonly writes: readonly Write[];
}

/** The merge rules, as simply as they can be said. */
function act(values: Values, { property, rule, value }: Write): void {
  switch (rule) {
    case 'set':
    case 'set-or-clear':
      if (value === null) values.delete(property);
      else values.set(property, value);
      return;
    case 'set-if-empty':
      if (value !== null && !values.has(property)) values.set(property, value);
      return;
    case 'add': {
      const list = (values.get(property) ?? []) as readonly string[];
      values.set(property, [...new Set([...list, ...(value as readonly string[])])]);
      return;
    }
    case 'sum':
      values.set(property, ((values.get(property) ?? 0) as number) + (value as number));
  }
}

interface Person {
  readonly ids: Set<string>;
  readonly values: Values;
}

/** What a file or batch makes of the people known so far: connected rows first, then their writes in order. */
class Model {
  people: Person[] = [];

  apply(rows: readonly Row[]): { ambiguous: number; created: number; createdPeople: number } {
    const groups: { ids: Set<string>; rows: Row[]; found: Set<Person> }[] = [];
    for (const row of rows) {
      const ids = row.ids.flatMap((id, index) => (id === null ? [] : [`${index}:${id}`]));
      const found = new Set(this.people.filter((person) => ids.some((id) => person.ids.has(id))));
      const group = { ids: new Set(ids), rows: [row], found };
      for (const other of [...groups]) {
        const meets =
          [...other.ids].some((id) => group.ids.has(id)) || [...other.found].some((p) => group.found.has(p));
        if (!meets) continue;
        groups.splice(groups.indexOf(other), 1);
        for (const id of other.ids) group.ids.add(id);
        for (const person of other.found) group.found.add(person);
        group.rows = [...other.rows, ...group.rows];
      }
      groups.push(group);
    }
    const counts = { ambiguous: 0, created: 0, createdPeople: 0 };
    for (const group of groups) {
      if (group.found.size > 1) {
        counts.ambiguous += group.rows.length;
        continue;
      }
      let person = [...group.found][0];
      if (person === undefined) {
        person = { ids: new Set(), values: new Map() };
        this.people.push(person);
        counts.created += group.rows.length;
        counts.createdPeople += 1;
      }
      for (const id of group.ids) person.ids.add(id);
      const inOrder = rows.filter((row) => group.rows.includes(row));
      for (const row of inOrder) for (const write of row.writes) act(person.values, write);
    }
    return counts;
  }
}

const namespaces = ['email', 'customerId'] as const;

function randomIds(random: Generator, count: number): readonly (string | null)[] {
  for (;;) {
    const ids = Array.from({ length: count }, () => (random.chance(0.7) ? `i${random.integer(25)}@m.test` : null));
    if (ids.some((id) => id !== null)) return ids;
  }
}

function randomValue(random: Generator, rule: Write['rule']): Write['value'] {
  if (rule === 'sum') return random.integer(7) - 3;
  if (rule === 'add') return Array.from({ length: random.integer(3) }, () => `t${random.integer(5)}`);
  return rule === 'set-or-clear' && random.chance(0.4) ? null : `v${random.integer(4)}`;
}

describe('merging against a simple model', () => {
  let store: StoreFixture;
  let model: Model;
  const properties = ['a', 'b.c', 'tags', 'points'] as const;

  const stored = async (): Promise<readonly string[]> => {
    const { rows } = await store.database.query<{ ids: string[]; properties: string }>(sql`
      SELECT p.properties, ARRAY(
        SELECT (CASE n.code WHEN 'email' THEN '0:' ELSE '1:' END) || i.value FROM profile.identity i
        JOIN profile.identity_namespace n ON n.id = i.namespace_id WHERE i.profile_id = p.id ORDER BY 1) AS ids
      FROM profile.profile p`);
    return rows.map(({ ids, properties: text }) => `${ids.join()} ${canonical(JSON.parse(text) as object)}`).sort();
  };
  const canonical = (values: object): string => JSON.stringify(Object.entries(values).sort());
  const expected = (): readonly string[] =>
    model.people.map(({ ids, values }) => `${[...ids].sort().join()} ${canonical(Object.fromEntries(values))}`).sort();

  beforeEach(async () => {
    store = await createStore('merge_model');
    model = new Model();
    await store.addProperty('a');
    await store.addProperty('b.c');
    await store.addProperty('tags', { list: true });
    await store.addProperty('points', { type: 'integer' });
  });

  afterEach(async () => {
    await store.close();
  });

  it('folds files of any rules, identifiers and chunk sizes as the model does', async () => {
    const random = generator(11);
    for (let file = 0; file < 25; file += 1) {
      const rules = {
        a: random.pick(['set', 'set-if-empty', 'set-or-clear'] as const),
        'b.c': random.pick(['set', 'set-if-empty', 'set-or-clear'] as const),
        tags: random.pick(['set', 'add'] as const),
        points: random.pick(['sum', 'set-or-clear'] as const),
      };
      const width = 1 + random.integer(2);
      const rows = Array.from({ length: 5 + random.integer(40) }, (): Row => {
        const written = random.some(properties, 0);
        return {
          ids: randomIds(random, width),
          writes: written.map((property): Write => {
            const rule = rules[property];
            const kind = property === 'tags' ? 'add' : property === 'points' ? 'sum' : rule;
            const value =
              property === 'points' && rule !== 'sum' && random.chance(0.3) ? null : randomValue(random, kind);
            return { property, rule, value };
          }),
        };
      });
      const shape = await fileShape(store, namespaces.slice(0, width), {
        uses: {
          fill: Object.values(rules).includes('set-if-empty'),
          clear: Object.values(rules).includes('set-or-clear'),
          append: rules.tags === 'add' ? ['tags'] : [],
          increment: rules.points === 'sum' ? ['points'] : [],
          consent: false,
        },
        chunkLines: 1 + random.integer(15),
      });
      const parts = {
        set: 'assign',
        'set-or-clear': 'assign',
        'set-if-empty': 'fill',
        add: 'append',
        sum: 'increment',
      } as const;
      const staged = rows.map(({ ids, writes }) => {
        const row: Record<string, Record<string, unknown>> = {};
        for (const { property, rule, value } of writes) (row[parts[rule]] ??= {})[property] = value;
        return { ids, ...row } as StagedRow;
      });
      const { plan, counts } = await importRows(store, shape, staged);
      const told = model.apply(rows);
      expect([file, await stored()]).toEqual([file, expected()]);
      expect(plan.rows.a + plan.rows.u + plan.rows.x + plan.rows.o).toBe(rows.length);
      expect(counts.created + counts.updated + counts.unchanged).toBe(plan.rows.a);
      expect([plan.rows.x, counts.created, counts.profilesCreated]).toEqual([
        told.ambiguous,
        told.created,
        told.createdPeople,
      ]);
    }
  });

  it('keeps the order of a batch whose items write by any rules', async () => {
    const random = generator(12);
    for (let batch = 0; batch < 40; batch += 1) {
      const rows = Array.from({ length: 1 + random.integer(30) }, (): Row => {
        const written = random.some(properties, 0);
        return {
          ids: randomIds(random, 2),
          writes: written.map((property): Write => {
            const rule = random.pick(
              property === 'tags'
                ? (['set', 'add', 'set-if-empty', 'set-or-clear'] as const)
                : property === 'points'
                  ? (['set', 'sum', 'set-if-empty', 'set-or-clear'] as const)
                  : (['set', 'set-if-empty', 'set-or-clear'] as const),
            );
            if (rule === 'set-or-clear' && random.chance(0.4)) return { property, rule, value: null };
            const value = randomValue(random, property === 'tags' ? 'add' : property === 'points' ? 'sum' : 'set');
            return { property, rule, value };
          }),
        };
      });
      const items = rows.map(({ ids, writes }) => ({
        identities: ids.flatMap((value, index) => (value === null ? [] : [{ namespace: namespaces[index], value }])),
        properties: writes,
      }));
      const catalogue = await store.catalogue();
      const results = await store.database.transaction((tx) =>
        ingestBatch(tx, catalogue, items, { allowCreation: true }),
      );
      const told = model.apply(rows);
      expect([batch, await stored()]).toEqual([batch, expected()]);
      expect(results.filter(({ outcome }) => outcome === 'ambiguous')).toHaveLength(told.ambiguous);
      expect(results.filter(({ outcome }) => outcome === 'created')).toHaveLength(told.created);
    }
    expect(await countOf(store, 'profile')).toBe(model.people.length);
  });
});

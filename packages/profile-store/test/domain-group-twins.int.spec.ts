import { sql } from '@millrace/database';
import { property } from '@millrace/domain';
import {
  createDomainGroup,
  createProperty,
  createSegment,
  createWorkspace,
  eraseProfiles,
  ingestBatch,
  loadCatalogue,
  type MergeShape,
} from '../src/index.js';
import { generator, type Generator } from './generator.js';
import { createStore, fileShape, importRows, type StagedRow, type StoreFixture } from './store-fixture.js';

/** A domain group of the workspace, and a workspace that gets nothing but what that domain group gets. */
interface Pair {
  readonly name: string;
  readonly group: string;
  readonly twin: StoreFixture;
}

const namespaces = ['email', 'phone', 'customerId'] as const;
let store: StoreFixture;
let pairs: readonly Pair[];

beforeAll(async () => {
  store = await createStore('domain_group_twins');
  await define(store);
  const { domainGroups, domainGroupId } = await store.catalogue();
  const [first] = [...domainGroups].flatMap(([id, { id: number }]) => (number === domainGroupId ? [id] : []));
  const other = await createDomainGroup(store.database, store.workspaceId, { name: 'other' });
  pairs = [
    { name: 'default', group: first!, twin: await twinOf('twin-of-default') },
    { name: 'other', group: other.id, twin: await twinOf('twin-of-other') },
  ];
});
afterAll(() => store.close());

async function twinOf(name: string): Promise<StoreFixture> {
  const { database } = store;
  const { id: workspaceId } = await createWorkspace(database, { name, title: '' });
  const twin = { ...store, workspaceId, catalogue: () => loadCatalogue(database, workspaceId) };
  await define(twin);
  return twin;
}

async function define({ database, workspaceId }: StoreFixture): Promise<void> {
  await database.transaction(async (tx) => {
    await createProperty(tx, workspaceId, property.parse({ name: 'name' }));
    await createProperty(tx, workspaceId, property.parse({ name: 'points', type: 'integer' }));
  });
  await createSegment(database, workspaceId, {
    name: 'many points',
    rule: { kind: 'property', property: 'points', op: 'greater', value: 3 },
  });
}

/** Every profile of a domain group: its identities, properties and whether it is in the segment. */
async function contents({ workspaceId, database }: StoreFixture, group?: string): Promise<readonly string[]> {
  const { rows } = await database.query<{ profile: string }>(sql`
    SELECT (
        SELECT string_agg(n.code || '=' || i.value, ' ' ORDER BY n.code, i.value) FROM profile.identity i
        JOIN profile.identity_namespace n ON n.id = i.namespace_id WHERE i.profile_id = p.id
      ) || ' ' || p.properties || ' ' || EXISTS (
        SELECT FROM profile.membership_build m WHERE m.profile_id = p.id AND m.realized) AS profile
    FROM profile.profile p JOIN profile.domain_group d ON d.id = p.domain_group_id
    WHERE p.workspace_id = ${workspaceId} AND ${group ?? null}::uuid IS NOT DISTINCT FROM
      CASE WHEN ${group ?? null}::uuid IS NULL THEN NULL ELSE d.public_id END ORDER BY 1`);
  return rows.map(({ profile }) => profile);
}

const someone = (random: Generator): string => `p${random.integer(12)}`;

function randomRows(random: Generator, identifiers: number, erases: boolean): readonly StagedRow[] {
  return Array.from({ length: 1 + random.integer(6) }, (_, index): StagedRow => {
    const ids = Array.from({ length: identifiers }, () => (random.chance(0.7) ? someone(random) : null));
    return {
      ids: ids.some((id) => id !== null) ? ids : ids.map(() => someone(random)),
      assign: { name: `n${index}` },
      increment: { points: random.integer(3) },
      ...(erases && random.chance(0.15) ? { erase: true } : {}),
    };
  });
}

/** Does one thing to the domain group and to its twin; both must answer alike. */
async function act(random: Generator, { group, twin }: Pair): Promise<void> {
  const places = [
    { at: store, group },
    { at: twin, group: undefined },
  ] as const;
  const answers: unknown[] = [];
  const kind = random.integer(10);
  if (kind < 3) {
    const updates = Array.from({ length: 1 + random.integer(3) }, () => ({
      identities: random.some(namespaces, 1).map((namespace) => ({ namespace, value: someone(random) })),
      properties: [{ property: 'points', value: 1, rule: 'sum' }],
    }));
    const allowCreation = random.chance(0.7);
    for (const { at, group: domainGroupId } of places) {
      const catalogue = await at.catalogue();
      const items = await at.database.transaction((tx) =>
        ingestBatch(tx, catalogue, updates, { allowCreation, domainGroupId }),
      );
      answers.push(items.map(({ outcome }) => outcome));
    }
  } else if (kind === 3) {
    const value = someone(random);
    for (const { at, group: named } of places) {
      const { domainGroupId, domainGroups } = await at.catalogue();
      const owner = named === undefined ? domainGroupId : domainGroups.get(named)!.id;
      const chosen = sql`SELECT profile_id FROM profile.identity WHERE value = ${value} AND domain_group_id = ${owner}`;
      answers.push(await at.database.transaction((tx) => eraseProfiles(tx, at.workspaceId, chosen)));
    }
  } else {
    const used = random.some(namespaces, 1);
    const erase = random.chance(0.3);
    const rows = randomRows(random, used.length, erase);
    const options: Partial<MergeShape> = {
      uses: { fill: false, clear: false, append: [], increment: ['points'], consent: false, erase },
      allowCreation: random.chance(0.8),
      policy: random.chance(0.3) ? 'first-match' : 'unambiguous',
      chunkLines: 1 + random.integer(4),
      ...(random.chance(0.3) ? { erasedAfter: new Date(Date.now() - 3_600_000) } : {}),
    };
    for (const { at, group: named } of places) {
      const { domainGroupId, domainGroups } = await at.catalogue();
      const into = named === undefined ? domainGroupId : domainGroups.get(named)!.id;
      const shape = await fileShape(at, used, { ...options, domainGroupId: into });
      const { plan, counts } = await importRows(at, shape, rows);
      answers.push({ rows: plan.rows, counts });
    }
  }
  expect(answers[0]).toEqual(answers[1]);
}

it('a domain group holds what a workspace of its own would, whatever the others of the workspace get', async () => {
  const random = generator(29);
  for (let step = 0; step < 80; step += 1) {
    await act(random, random.pick(pairs));
    if (step % 10 !== 9) continue;
    for (const { group, twin } of pairs) expect(await contents(store, group)).toEqual(await contents(twin));
  }
  const sizes = await Promise.all(pairs.map(async ({ group }) => (await contents(store, group)).length));
  expect(Math.min(...sizes)).toBeGreaterThan(3);
});

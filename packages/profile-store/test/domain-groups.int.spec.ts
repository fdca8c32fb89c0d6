import { sql } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { domainGroupOf } from '@millrace/mapping';
import {
  ambiguousRows,
  createDomainGroup,
  createWorkspace,
  deleteDomainGroup,
  domainGroupsWith,
  eraseProfiles,
  findProfile,
  ingestBatch,
  listDomainGroups,
  lockDefinitions,
  putGroup,
  renameDomainGroup,
  resolveRows,
  type MergeShape,
} from '../src/index.js';
import {
  applyPlan,
  createStore,
  fileShape,
  importRows,
  stageRows,
  type ImportedFile,
  type StagedRow,
  type StoreFixture,
} from './store-fixture.js';

let store: StoreFixture;
/** Of the domain group beside the default one. */
let brand: string;
let brandId: number;

beforeAll(async () => {
  store = await createStore('domain-groups');
  await store.addProperty('name');
  await store.addProperty('card', { unique: true });
  ({ id: brand } = await createDomainGroup(store.database, store.workspaceId, { name: 'Brand B' }));
  brandId = domainGroupOf(await store.catalogue(), brand);
});
afterAll(() => store.close());

const inBrand = (): Partial<MergeShape> => ({ domainGroupId: brandId });
const put = async (
  rows: readonly StagedRow[],
  overrides: Partial<MergeShape> = {},
  namespaces: readonly string[] = ['email'],
): Promise<ImportedFile> => importRows(store, await fileShape(store, namespaces, overrides), rows);

const add = (name: string): ReturnType<typeof createDomainGroup> =>
  createDomainGroup(store.database, store.workspaceId, { name });
const remove = (id: string): Promise<void> =>
  store.database.transaction((tx) => deleteDomainGroup(tx, store.workspaceId, id));
const refusal = (code: string): unknown => expect.objectContaining({ code });

/** Name of the domain group, name of the profile; of the profiles that have the identity. */
async function holders(value: string): Promise<readonly string[]> {
  const { rows } = await store.database.query<{ holder: string }>(sql`
    SELECT d.name || ': ' || coalesce(p.properties->>'name', '') AS holder FROM profile.identity i
    JOIN profile.profile p ON p.id = i.profile_id AND p.domain_group_id = i.domain_group_id
    JOIN profile.domain_group d ON d.id = i.domain_group_id WHERE i.value = ${value} ORDER BY d.id`);
  return rows.map(({ holder }) => holder);
}

const profileOf = async (value: string, domainGroupId: number): Promise<string> => {
  const { rows } = await store.database.query<{ id: string }>(sql`
    SELECT profile_id AS id FROM profile.identity WHERE value = ${value} AND domain_group_id = ${domainGroupId}`);
  return rows[0]!.id;
};

describe('the domain groups of a workspace', () => {
  it('begin with the default one', async () => {
    const other = await createWorkspace(store.database, { name: 'other', title: '' });
    expect(await listDomainGroups(store.database, other.id)).toEqual([
      { id: expect.any(String), name: 'default', default: true, createdAt: expect.any(Date) },
    ]);
  });

  it('have each its own name, the default one too', async () => {
    const { id } = await add('Brand C');
    await expect(add('Brand C')).rejects.toEqual(refusal('domain-group-conflict'));
    const renamed = await renameDomainGroup(store.database, store.workspaceId, id, { name: 'Brand D' });
    expect(renamed).toMatchObject({ id, name: 'Brand D', default: false });
    await expect(renameDomainGroup(store.database, store.workspaceId, id, { name: 'Brand B' })).rejects.toEqual(
      refusal('domain-group-conflict'),
    );
    const [first] = await listDomainGroups(store.database, store.workspaceId);
    await renameDomainGroup(store.database, store.workspaceId, first!.id, { name: 'main' });
    expect((await listDomainGroups(store.database, store.workspaceId)).map(({ name }) => name)).toEqual([
      'main',
      'Brand B',
      'Brand D',
    ]);
    await renameDomainGroup(store.database, store.workspaceId, first!.id, { name: 'default' });
  });

  it('are not those of another workspace', async () => {
    const other = await createWorkspace(store.database, { name: 'stranger', title: '' });
    await expect(renameDomainGroup(store.database, other.id, brand, { name: 'mine' })).rejects.toEqual(
      refusal('domain-group-not-found'),
    );
    await expect(store.database.transaction((tx) => deleteDomainGroup(tx, other.id, brand))).rejects.toEqual(
      refusal('domain-group-not-found'),
    );
  });
});

describe('rows of a file', () => {
  it('match and make profiles of their domain group alone', async () => {
    expect((await put([{ ids: ['one@x.org'], assign: { name: 'a' } }])).counts).toMatchObject({ created: 1 });
    const there = await put([{ ids: ['one@x.org'], assign: { name: 'b' } }], inBrand());
    expect(there.counts).toMatchObject({ created: 1, updated: 0 });
    expect(await holders('one@x.org')).toEqual(['default: a', 'Brand B: b']);
    const again = await put([{ ids: ['one@x.org'], assign: { name: 'c' } }], inBrand());
    expect(again.counts).toMatchObject({ created: 0, updated: 1 });
    expect(await holders('one@x.org')).toEqual(['default: a', 'Brand B: c']);
  });

  it('do so by a unique property, and by several identifiers', async () => {
    const namespaces = ['card', 'email'];
    await put([{ ids: ['4711', 'two@x.org'], assign: { name: 'a' } }], {}, namespaces);
    const { plan, counts } = await put(
      [
        { ids: ['4711', null], assign: { name: 'b' } },
        { ids: [null, 'two@x.org'], assign: { name: 'c' } },
      ],
      inBrand(),
      namespaces,
    );
    // Together they would be one profile of the default domain group; here nothing ties them.
    expect(plan.components).toMatchObject({ a: 2, x: 0 });
    expect(counts).toMatchObject({ profilesCreated: 2 });
    expect(await holders('4711')).toEqual(['default: a', 'Brand B: b']);
    expect(await holders('two@x.org')).toEqual(['default: a', 'Brand B: c']);
  });

  it('stay unmatched where only another domain group has their profile and none may be made', async () => {
    await put([{ ids: ['three@x.org'] }]);
    const { plan } = await put([{ ids: ['three@x.org'] }], { ...inBrand(), allowCreation: false });
    expect(plan.rows).toMatchObject({ u: 1, a: 0 });
  });

  it('name a profile by its own id only inside its domain group', async () => {
    await put([{ ids: ['four@x.org'] }]);
    const id = await profileOf('four@x.org', (await store.catalogue()).domainGroupId);
    const byId = { namespaceIds: [-1], allowCreation: false };
    expect((await put([{ ids: [id] }], { ...byId, ...inBrand() })).plan.rows).toMatchObject({ u: 1, a: 0 });
    expect((await put([{ ids: [id] }], byId)).plan.rows).toMatchObject({ u: 0, a: 1 });
  });

  it('are no race for writers of the same identity in another domain group', async () => {
    const shape = await fileShape(store, ['email', 'phone'], inBrand());
    await store.database.transaction((tx) => stageRows(tx, shape, [{ ids: ['five@x.org', '+495'] }]));
    const plan = await store.database.transaction((tx) => resolveRows(tx, shape));
    await put([{ ids: ['five@x.org'] }]);
    await put([{ ids: ['+495'] }], {}, ['phone']);
    expect(await applyPlan(store, shape, plan)).toMatchObject({ created: 1 });
    expect(await holders('+495')).toHaveLength(2);
  });

  it('are resolved again inside their domain group where a writer of it took an identity meanwhile', async () => {
    const shape = await fileShape(store, ['email', 'phone'], inBrand());
    await store.database.transaction((tx) =>
      stageRows(tx, shape, [{ ids: ['moved@x.org', '+496'], assign: { name: 'file' } }]),
    );
    const plan = await store.database.transaction((tx) => resolveRows(tx, shape));
    await put([{ ids: ['moved@x.org'], assign: { name: 'there' } }], inBrand());
    await put([{ ids: ['+496'], assign: { name: 'here' } }], {}, ['phone']);
    expect(await applyPlan(store, shape, plan)).toMatchObject({ created: 0, updated: 1 });
    expect(await holders('moved@x.org')).toEqual(['Brand B: file']);
    expect(await holders('+496')).toEqual(['default: here', 'Brand B: file']);
  });

  it('are ambiguous by the profiles of their domain group alone, and name only those', async () => {
    const namespaces = ['email', 'phone'];
    const row = { ids: ['both@x.org', '+497'] };
    await put([{ ids: ['both@x.org', null] }, { ids: [null, '+497'] }], inBrand(), namespaces);
    expect((await put([row], {}, namespaces)).counts).toMatchObject({ created: 1 });
    const shape = await fileShape(store, namespaces, inBrand());
    expect((await importRows(store, shape, [row])).plan.rows).toMatchObject({ x: 1, a: 0 });
    const [told] = await ambiguousRows(store.database, shape, 10);
    expect(told?.profileIds).toHaveLength(2);
    expect(told?.profileIds).toContain(await profileOf('+497', brandId));
  });

  it('erase by the delete flag the profile of their domain group', async () => {
    await put([{ ids: ['six@x.org'] }]);
    await put([{ ids: ['six@x.org'] }], inBrand());
    const uses = { fill: false, clear: false, append: [], increment: [], consent: false, erase: true };
    const { counts } = await put([{ ids: ['six@x.org'], erase: true }], { ...inBrand(), uses });
    expect(counts).toMatchObject({ erased: 1, profilesErased: 1 });
    expect(await holders('six@x.org')).toEqual(['default: ']);
  });
});

it('an erasure holds back older files of its domain group, and of no other', async () => {
  await put([{ ids: ['erased@x.org'] }]);
  const id = await profileOf('erased@x.org', (await store.catalogue()).domainGroupId);
  await store.database.transaction((tx) => eraseProfiles(tx, store.workspaceId, sql`SELECT ${id}::uuid`));
  const older = { erasedAfter: new Date(Date.now() - 3_600_000) };
  expect((await put([{ ids: ['erased@x.org'] }], older)).counts).toMatchObject({ created: 0, erasedBefore: 1 });
  const there = await put([{ ids: ['erased@x.org'] }], { ...older, ...inBrand() });
  expect(there.counts).toMatchObject({ created: 1, erasedBefore: 0 });
});

describe('updates as JSON', () => {
  const update = (value: string, name: string, events: readonly unknown[] = []): unknown => ({
    identities: [{ namespace: 'email', value }],
    properties: [{ property: 'name', value: name }],
    events,
  });
  const ingest = async (updates: readonly unknown[], domainGroupId?: string): ReturnType<typeof ingestBatch> => {
    const catalogue = await store.catalogue();
    return store.database.transaction((tx) =>
      ingestBatch(tx, catalogue, updates, { allowCreation: true, domainGroupId }),
    );
  };

  it('match and make profiles of the domain group they name, or of the default one', async () => {
    await ingest([update('seven@x.org', 'a')]);
    const [made] = await ingest([update('seven@x.org', 'b')], brand.toUpperCase());
    expect(made).toMatchObject({ outcome: 'created' });
    expect(await holders('seven@x.org')).toEqual(['default: a', 'Brand B: b']);
    await expect(ingest([update('seven@x.org', 'c')], crypto.randomUUID())).rejects.toEqual(
      refusal('domain-group-not-found'),
    );
  });

  it('leave an event alone that a profile of another domain group has', async () => {
    const order = { type: 'order', id: 'o-1', occurredAt: '2026-01-01T00:00:00Z' };
    await ingest([update('eight@x.org', 'a', [order])]);
    await ingest([update('eight@x.org', 'b', [{ ...order, occurredAt: '2026-02-02T00:00:00Z' }])], brand);
    const { rows } = await store.database.query<{ profile_id: string; day: string }>(
      sql`SELECT profile_id, to_char(occurred_at AT TIME ZONE 'UTC', 'MM-DD') AS day FROM profile.event WHERE id = 'o-1'`,
    );
    const owner = await profileOf('eight@x.org', (await store.catalogue()).domainGroupId);
    expect(rows).toEqual([{ profile_id: owner, day: '01-01' }]);
  });

  it('are found again by their identity in the default domain group, or in the one named', async () => {
    await ingest([update('nine@x.org', 'a')]);
    await ingest([update('nine@x.org', 'b'), update('only@x.org', 'c')], brand);
    const catalogue = await store.catalogue();
    const find = async (value: string, domainGroupId?: string): Promise<unknown> => {
      const found = await findProfile(store.database, catalogue, { namespace: 'email', value, domainGroupId });
      return found === undefined ? undefined : (JSON.parse(found) as unknown);
    };
    expect(await find('Nine@x.org')).toMatchObject({
      domainGroup: { name: 'default' },
      properties: { name: 'a' },
    });
    expect(await find('nine@x.org', brand)).toMatchObject({
      domainGroup: { id: brand, name: 'Brand B' },
      properties: { name: 'b' },
    });
    expect(await find('only@x.org')).toBeUndefined();
    expect(await domainGroupsWith(store.database, catalogue, { namespace: 'email', value: 'only@x.org' })).toEqual([
      { id: brand, name: 'Brand B' },
    ]);
  });

  it('of a group add the members that the named domain group has', async () => {
    await ingest([update('member@x.org', 'a')]);
    const catalogue = await store.catalogue();
    const household = { type: 'household', key: 'h', properties: '{}' };
    const members = [{ namespace: 'email', value: 'member@x.org' }];
    const into = (domainGroupId?: string): Promise<{ unknownMembers: number }> =>
      store.database.transaction((tx) => putGroup(tx, catalogue, { ...household, members, domainGroupId }));
    expect(await into(brand)).toEqual({ unknownMembers: 1 });
    expect(await into()).toEqual({ unknownMembers: 0 });
  });
});

describe('deleting a domain group', () => {
  it('is refused for the default one, for one with profiles and for one that is not there', async () => {
    const [first] = await listDomainGroups(store.database, store.workspaceId);
    await expect(remove(first!.id)).rejects.toEqual(refusal('domain-group-default-conflict'));
    await put([{ ids: ['kept@x.org'] }], inBrand());
    await expect(remove(brand)).rejects.toEqual(refusal('domain-group-in-use-conflict'));
    await expect(remove(crypto.randomUUID())).rejects.toEqual(refusal('domain-group-not-found'));
  });

  it('is done once its profiles are erased; a file resolved before it makes none any more', async () => {
    const { id } = await add('short-lived');
    const domainGroupId = domainGroupOf(await store.catalogue(), id);
    await put([{ ids: ['brief@x.org'] }], { domainGroupId });
    const shape = await fileShape(store, ['email'], { domainGroupId });
    await store.database.transaction((tx) => stageRows(tx, shape, [{ ids: ['late@x.org'] }]));
    const plan = await store.database.transaction((tx) => resolveRows(tx, shape));
    const profile = await profileOf('brief@x.org', domainGroupId);
    await store.database.transaction((tx) => eraseProfiles(tx, store.workspaceId, sql`SELECT ${profile}::uuid`));
    await remove(id);
    await expect(applyPlan(store, shape, plan)).rejects.toBeInstanceOf(InputError);
    expect(await holders('late@x.org')).toEqual([]);
  });

  it('waits for writers that hold the definitions, and sees what they made', async () => {
    const { id } = await add('contended');
    const domainGroupId = domainGroupOf(await store.catalogue(), id);
    const catalogue = await store.catalogue();
    let removal: Promise<unknown> | undefined;
    await store.database.transaction(async (tx) => {
      await lockDefinitions(tx, store.workspaceId, 'shared');
      removal = remove(id).catch((error: unknown) => error);
      await ingestBatch(tx, catalogue, [{ identities: [{ namespace: 'email', value: 'race@x.org' }] }], {
        allowCreation: true,
        domainGroupId: id,
      });
    });
    expect(await removal).toEqual(refusal('domain-group-in-use-conflict'));
    expect(await profileOf('race@x.org', domainGroupId)).toBeDefined();
  });
});

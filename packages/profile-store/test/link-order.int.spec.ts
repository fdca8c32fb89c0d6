import { sql } from '@millrace/database';
import {
  applyChunk,
  buildSegments,
  createSegment,
  ingestBatch,
  putGroup,
  resolveRows,
  type MergeShape,
} from '../src/index.js';
import { createStore, fileShape, importRows, stageRows, type StoreFixture } from './store-fixture.js';

/** Who changes a group and who links to it wait for each other, whichever comes first: the later one sees both. */
describe('a change of a group and a link to it', () => {
  let store: StoreFixture;
  let segmentId: string;

  beforeAll(async () => {
    store = await createStore('link_order');
    const catalogue = await store.catalogue();
    await store.database.transaction((tx) =>
      putGroup(tx, catalogue, { type: 'company', key: 'first', properties: '{}', members: [] }),
    );
    segmentId = (
      await createSegment(store.database, store.workspaceId, {
        name: 'large',
        rule: { kind: 'group', type: 'company', property: 'size', op: 'greater', value: 10 },
      })
    ).id;
    while (await buildSegments(store.database)) continue;
  });

  afterAll(async () => {
    await store.close();
  });

  const typeId = async (): Promise<number> => (await store.catalogue()).groupTypes.get('company')!.id;
  const ingest = async (tx: Parameters<typeof ingestBatch>[0], email: string, key: string): Promise<unknown> =>
    ingestBatch(
      tx,
      await store.catalogue(),
      [{ identities: [{ namespace: 'email', value: email }], groups: [{ type: 'company', key }] }],
      { allowCreation: true },
    );
  /** A file with one row about the group, staged and planned, its chunk still to be applied. */
  const planned = async (key: string): Promise<MergeShape> => {
    const shape = await fileShape(store, ['email'], { groupTypeId: await typeId() });
    await store.database.transaction((tx) => stageRows(tx, shape, [{ ids: [key], assign: { size: 50 } }]));
    await store.database.transaction((tx) => resolveRows(tx, shape));
    return shape;
  };
  const someoneWaits = async (): Promise<void> => {
    for (;;) {
      const { rows } = await store.database.query<{ waiting: boolean }>(
        sql`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock') AS waiting`,
      );
      if (rows[0]!.waiting) return;
    }
  };
  const isMember = async (email: string): Promise<boolean> => {
    const { rowCount } = await store.database.query(sql`
      SELECT FROM profile.membership m JOIN profile.identity i ON i.profile_id = m.profile_id
      WHERE m.segment_id = ${segmentId}::uuid AND m.status = 'realized' AND i.value = ${email}`);
    return rowCount === 1;
  };

  it.each([
    ['there before', true],
    ['made by the link', false],
  ])('evaluates a member whose link is not committed yet, in a group %s', async (_name, exists) => {
    const [key, email] = [`a${exists}`, `a${exists}@l.test`];
    if (exists)
      await importRows(store, await fileShape(store, ['email'], { groupTypeId: await typeId() }), [{ ids: [key] }]);
    const shape = await planned(key);
    let later: Promise<unknown> | undefined;
    await store.database.transaction(async (tx) => {
      await ingest(tx, email, key);
      later = store.database.transaction((other) => applyChunk(other, shape, 0));
      await someoneWaits();
    });
    expect(await later).toMatchObject({ created: 0, updated: 1 });
    expect(await isMember(email)).toBe(true);
  });

  it.each([
    ['there before', true],
    ['made by the import', false],
  ])('evaluates a new member of a group whose change is not committed yet, in a group %s', async (_name, exists) => {
    const [key, email] = [`b${exists}`, `b${exists}@l.test`];
    if (exists)
      await importRows(store, await fileShape(store, ['email'], { groupTypeId: await typeId() }), [{ ids: [key] }]);
    const shape = await planned(key);
    let later: Promise<unknown> | undefined;
    await store.database.transaction(async (tx) => {
      await applyChunk(tx, shape, 0);
      later = store.database.transaction((other) => ingest(other, email, key));
      await someoneWaits();
    });
    await later;
    expect(await isMember(email)).toBe(true);
  });

  it('raises no version and stamps nothing where a link is there already', async () => {
    const stamps = async (): Promise<unknown> =>
      (
        await store.database.query(sql`
          SELECT p.version::text, p.changed_xid::text AS profile, gm.changed_xid::text AS link, g.changed_xid::text AS "group"
          FROM profile.profile p JOIN profile.identity i ON i.profile_id = p.id JOIN profile.group_member gm ON gm.profile_id = p.id
          JOIN profile.group g ON g.id = gm.group_id WHERE i.value = 'c@l.test'`)
      ).rows;
    await store.database.transaction((tx) => ingest(tx, 'c@l.test', 'c'));
    const before = await stamps();
    await store.database.transaction((tx) => ingest(tx, 'c@l.test', 'c'));
    const catalogue = await store.catalogue();
    await store.database.transaction((tx) =>
      putGroup(tx, catalogue, { type: 'company', key: 'c', properties: '{}', members: [] }),
    );
    expect(await stamps()).toEqual(before);
  });
});

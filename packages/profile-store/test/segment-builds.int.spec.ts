import { sql } from '@millrace/database';
import type { SegmentRule } from '@millrace/domain';
import {
  buildSegments,
  checkTimers,
  createSegment,
  ingestBatch,
  putGroup,
  segmentById,
  updateSegment,
} from '../src/index.js';
import { createStore, type StoreFixture } from './store-fixture.js';

describe('building segments', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('segment_builds');
    await store.addProperty('city');
    await store.addProperty('lastVisit', { type: 'timestamp' });
    await store.addProperty('visits', { type: 'timestamp', list: true });
  });

  afterAll(async () => {
    await store.close();
  });

  const ingest = async (email: string, values: Record<string, unknown>): Promise<readonly { outcome: string }[]> => {
    const catalogue = await store.catalogue();
    const properties = Object.entries(values).map(([property, value]) => ({ property, value }));
    const item = { identities: [{ namespace: 'email', value: email }], properties };
    return store.database.transaction((tx) => ingestBatch(tx, catalogue, [item], { allowCreation: true }));
  };

  const members = async (id: string): Promise<number> =>
    (await segmentById(store.database, store.workspaceId, id)).members;

  const create = async (name: string, rule: SegmentRule): Promise<string> =>
    (await createSegment(store.database, store.workspaceId, { name, rule })).id;

  it.each(['the build', 'a writer'])(
    'does not lose what time changed after %s looked and before the switch',
    async (who) => {
      const edge = Date.now() + 1_000;
      const rule: SegmentRule = { kind: 'recency', property: 'lastVisit', op: 'within-last', days: 1 };
      const visit = { lastVisit: new Date(edge - 86_400_000).toISOString() };
      if (who === 'the build') await ingest('build@b.test', visit);
      const id = await create(`seen by ${who}`, rule);
      if (who === 'a writer') await ingest('writer@b.test', visit);
      await buildSegments(store.database);
      for (let past = false; !past;) {
        const { rows } = await store.database.query<{ past: boolean }>(
          sql`SELECT clock_timestamp() > ${new Date(edge).toISOString()}::timestamptz AS past`,
        );
        past = rows[0]!.past;
      }
      while (await buildSegments(store.database));
      while (await checkTimers(store.database));
      expect(await members(id)).toBe(0);
    },
  );

  it('keeps the version where only the name changed', async () => {
    const rule: SegmentRule = { kind: 'property', property: 'city', op: 'equals', value: 'Bonn' };
    const id = await create('old name', rule);
    const renamed = await updateSegment(store.database, store.workspaceId, id, { name: 'new name', rule });
    expect(renamed).toMatchObject({ name: 'new name', version: 1 });
  });

  it('goes on where a property of a group is not what the rule compares it with', async () => {
    await ingest('grouped@b.test', { city: 'Bonn' });
    const put = async (properties: string): Promise<void> => {
      const catalogue = await store.catalogue();
      const members = [{ namespace: 'email', value: 'grouped@b.test' }];
      await store.database.transaction((tx) =>
        putGroup(tx, catalogue, { type: 'company', key: 'acme', properties, members }),
      );
    };
    await put('{"size": "many", "listed": "yes"}');
    const large = await create('large', { kind: 'group', type: 'company', property: 'size', op: 'greater', value: 10 });
    const listed = await create('listed', {
      kind: 'group',
      type: 'company',
      property: 'listed',
      op: 'equals',
      value: true,
    });
    while (await buildSegments(store.database));
    expect(await ingest('grouped@b.test', { city: 'Ulm' })).toMatchObject([{ outcome: 'updated' }]);
    expect([await members(large), await members(listed)]).toEqual([0, 0]);
    await put('{"size": 50, "listed": true}');
    expect([await members(large), await members(listed)]).toEqual([1, 1]);
  });

  it('refuses the age of a list', async () => {
    await expect(create('ages', { kind: 'recency', property: 'visits', op: 'within-last', days: 1 })).rejects.toThrow(
      'visits is a list',
    );
  });

  it('stores no timestamp that no rule could read', async () => {
    const results = await Promise.all(
      [
        '9999-12-31T23:59:59-12:00',
        '0001-01-01T00:00:00+14:00',
        '2026-01-01T00:00:00+99:99',
        '9999-12-31T23:59:59Z',
      ].map((lastVisit, index) => ingest(`edge${index}@b.test`, { lastVisit })),
    );
    expect(results.map(([result]) => result!.outcome)).toEqual(['rejected', 'rejected', 'rejected', 'created']);
  });
});

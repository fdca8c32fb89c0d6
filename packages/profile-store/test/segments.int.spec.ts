import { sql } from '@millrace/database';
import type { SegmentRule } from '@millrace/domain';
import {
  buildSegments,
  checkTimers,
  createSegment,
  ingestBatch,
  putGroup,
  registerStreamTarget,
  segmentById,
  updateSegment,
} from '../src/index.js';
import { createStore, fileShape, importRows, type StoreFixture } from './store-fixture.js';

describe('segments', () => {
  let store: StoreFixture;
  let cityId: number;

  beforeAll(async () => {
    store = await createStore('segments');
    cityId = await store.addProperty('city');
    await store.addProperty('spent', { type: 'decimal' });
    await store.addProperty('lastVisit', { type: 'timestamp' });
    await store.addProperty('tags', { list: true });
  });

  afterAll(async () => {
    await store.close();
  });

  const build = async (): Promise<void> => {
    while (await buildSegments(store.database));
  };

  const segment = async (name: string, rule: SegmentRule): Promise<string> =>
    (await createSegment(store.database, store.workspaceId, { name, rule })).id;

  const membersOf = async (id: string): Promise<readonly string[]> => {
    const { rows } = await store.database.query<{ value: string }>(sql`
      SELECT i.value FROM profile.membership m JOIN profile.identity i ON i.profile_id = m.profile_id
      JOIN profile.identity_namespace n ON n.id = i.namespace_id AND n.code = 'email'
      WHERE m.segment_id = ${id}::uuid AND m.status = 'realized' ORDER BY 1`);
    return rows.map((row) => row.value);
  };

  const ingest = async (updates: readonly unknown[]): Promise<readonly { outcome: string }[]> => {
    const catalogue = await store.catalogue();
    return store.database.transaction((tx) => ingestBatch(tx, catalogue, updates, { allowCreation: true }));
  };

  const person = (email: string, values: Record<string, unknown> = {}): object => ({
    identities: [{ namespace: 'email', value: email }],
    properties: Object.entries(values).map(([property, value]) => ({ property, value })),
  });

  it('keeps membership in the transaction of the change, once built', async () => {
    await ingest([person('before@s.test', { city: 'Bonn' })]);
    const id = await segment('in Bonn', { kind: 'property', property: 'city', op: 'equals', value: 'Bonn' });
    await build();
    expect(await membersOf(id)).toEqual(['before@s.test']);
    await importRows(store, await fileShape(store, ['email']), [
      { ids: ['import@s.test'], assign: { city: 'Bonn' } },
      { ids: ['elsewhere@s.test'], assign: { city: 'Köln' } },
    ]);
    expect(await membersOf(id)).toEqual(['before@s.test', 'import@s.test']);
    await ingest([person('before@s.test', { city: 'Köln' })]);
    expect(await membersOf(id)).toEqual(['import@s.test']);
    expect(await segmentById(store.database, store.workspaceId, id)).toMatchObject({ state: 'current', members: 1 });
  });

  it('keeps the old memberships while a changed rule is built, then switches in one commit', async () => {
    const id = await segment('switching', { kind: 'property', property: 'city', op: 'equals', value: 'Ulm' });
    await build();
    await ingest([person('ulm@s.test', { city: 'Ulm' }), person('jena@s.test', { city: 'Jena' })]);
    await updateSegment(store.database, store.workspaceId, id, {
      name: 'switching',
      rule: { kind: 'property', property: 'city', op: 'equals', value: 'Jena' },
    });
    expect(await membersOf(id)).toEqual(['ulm@s.test']);
    await ingest([person('jena2@s.test', { city: 'Jena' })]);
    expect(await membersOf(id)).toEqual(['ulm@s.test']);
    await build();
    expect(await membersOf(id)).toEqual(['jena2@s.test', 'jena@s.test']);
  });

  it('sees both orders when two writers each add one at the same time', async () => {
    const id = await segment('two orders', {
      kind: 'event',
      type: 'order',
      aggregate: 'count',
      where: [],
      op: 'greater-or-equal',
      value: 2,
    });
    await build();
    await ingest([person('orders@s.test')]);
    const order = (number: number): object => ({
      ...person('orders@s.test'),
      events: [{ type: 'order', id: `concurrent-${number}`, occurredAt: '2026-01-01T00:00:00Z' }],
    });
    await Promise.all([ingest([order(1)]), ingest([order(2)])]);
    expect(await membersOf(id)).toEqual(['orders@s.test']);
  });

  it('evaluates sums, recency, groups, consent, identities and nested rules', async () => {
    await ingest([
      {
        ...person('rich@s.test', { spent: '100.10', lastVisit: new Date().toISOString(), tags: ['vip'] }),
        consent: [{ objective: 'newsletter', granted: true }],
        events: [
          {
            type: 'order',
            id: 'sum-1',
            occurredAt: new Date().toISOString(),
            properties: { total: '60.50', currency: 'EUR' },
          },
          {
            type: 'order',
            id: 'sum-2',
            occurredAt: new Date().toISOString(),
            properties: { total: '40', currency: 'EUR' },
          },
          {
            type: 'order',
            id: 'sum-3',
            occurredAt: '2001-01-01T00:00:00Z',
            properties: { total: '1000', currency: 'EUR' },
          },
        ],
      },
      person('poor@s.test', { spent: '1', lastVisit: '2001-01-01T00:00:00Z' }),
    ]);
    const catalogue = await store.catalogue();
    await store.database.transaction((tx) =>
      putGroup(tx, catalogue, {
        type: 'company',
        key: 'acme',
        properties: '{"size": 50}',
        members: [{ namespace: 'email', value: 'Rich@s.test' }],
      }),
    );
    const only = async (name: string, rule: SegmentRule): Promise<void> => {
      const both: SegmentRule = {
        kind: 'identity',
        namespace: 'email',
        op: 'in',
        value: ['rich@s.test', 'poor@s.test'],
      };
      const id = await segment(name, { kind: 'all', rules: [both, rule] });
      await build();
      expect([name, await membersOf(id)]).toEqual([name, ['rich@s.test']]);
    };
    await only('sum', {
      kind: 'event',
      type: 'order',
      aggregate: 'sum',
      property: 'total',
      withinDays: 30,
      where: [{ property: 'currency', op: 'equals', value: 'EUR' }],
      op: 'equals',
      value: 100.5,
    });
    await only('last', { kind: 'event', type: 'order', aggregate: 'last', where: [], op: 'less', value: 30 });
    await only('recency', { kind: 'recency', property: 'lastVisit', op: 'within-last', days: 7 });
    await only('group', { kind: 'group', type: 'company', property: 'size', op: 'greater', value: 10 });
    await only('consent', { kind: 'consent', objective: 'newsletter', op: 'granted' });
    await only('number', { kind: 'not', rule: { kind: 'property', property: 'spent', op: 'less', value: 50 } });
    await only('list', {
      kind: 'any',
      rules: [
        { kind: 'property', property: 'tags', op: 'contains', value: 'vip' },
        { kind: 'any', rules: [] },
      ],
    });
  });

  it('lets time alone end a membership', async () => {
    const id = await segment('visited', { kind: 'recency', property: 'lastVisit', op: 'within-last', days: 1 });
    await build();
    await ingest([person('visitor@s.test', { lastVisit: new Date(Date.now() - 86_400_000 + 4_000).toISOString() })]);
    expect(await membersOf(id)).toContain('visitor@s.test');
    const deadline = Date.now() + 60_000;
    while ((await membersOf(id)).includes('visitor@s.test') && Date.now() < deadline) await checkTimers(store.database);
    expect(await membersOf(id)).not.toContain('visitor@s.test');
  });

  it('notes in the outbox what was written, what changed and which segments flipped', async () => {
    await store.database.transaction((tx) =>
      registerStreamTarget(tx, {
        goalId: '00000000-0000-4000-8000-000000000001',
        workspaceId: store.workspaceId,
        propertyIds: [cityId],
        suppressSameValue: false,
      }),
    );
    await ingest([person('outbox@s.test', { city: 'Trier' })]);
    await ingest([person('outbox@s.test', { city: 'Trier' })]);
    await ingest([person('outbox@s.test', { spent: '2' })]);
    await ingest([person('outbox@s.test', { city: 'Bonn' })]);
    const { rows } = await store.database.query<{
      written: number[];
      changed: number[];
      segments: number;
      identities: boolean;
      version: string;
    }>(sql`
      SELECT written, changed, cardinality(segments) AS segments, identities, (version & 255)::text AS version FROM profile.outbox ORDER BY id`);
    expect(rows).toEqual([
      { written: [], changed: [], segments: 0, identities: true, version: '1' },
      { written: [cityId], changed: [], segments: 0, identities: false, version: '1' },
      { written: [cityId], changed: [cityId], segments: 1, identities: false, version: '3' },
    ]);
  });

  it('refuses a rule over something the workspace does not have', async () => {
    await expect(segment('wrong', { kind: 'property', property: 'nowhere', op: 'exists' })).rejects.toThrow(
      'the workspace has no property "nowhere"',
    );
  });
});

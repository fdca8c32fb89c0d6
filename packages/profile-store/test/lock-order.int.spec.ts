import { sql } from '@millrace/database';
import {
  applyChunk,
  applyMoved,
  buildSegments,
  createSegment,
  eraseProfiles,
  ingestBatch,
  putGroup,
  resolveRows,
} from '../src/index.js';
import {
  countOf,
  createStore,
  fileShape,
  importRows,
  propertiesOf,
  stageRows,
  type StoreFixture,
} from './store-fixture.js';

describe('writers that meet', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('lock_order');
    await store.addProperty('name');
    await store.addProperty('points', { type: 'decimal' });
  });

  afterAll(async () => {
    await store.close();
  });

  const person = (
    identities: Record<string, string>,
    rule = 'set',
    value: unknown = 'x',
    property = 'name',
  ): object => ({
    identities: Object.entries(identities).map(([namespace, text]) => ({ namespace, value: text })),
    properties: [{ property, value, rule }],
  });

  const ingest = async (
    items: readonly object[],
  ): Promise<readonly { outcome: string; profileId?: string | undefined }[]> => {
    const catalogue = await store.catalogue();
    return store.database.transaction((tx) => ingestBatch(tx, catalogue, items, { allowCreation: true }));
  };

  /** Resolves once another connection waits for a lock. */
  const someoneWaits = async (): Promise<void> => {
    for (;;) {
      const { rows } = await store.database.query<{ waiting: boolean }>(
        sql`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock') AS waiting`,
      );
      if (rows[0]!.waiting) return;
    }
  };

  it('make one profile of an identity that eight connections bring at once', async () => {
    const before = await countOf(store, 'profile');
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        ingest([person({ email: `own${index}@l.test` }), person({ email: 'shared@l.test' }, 'sum', 1, 'points')]),
      ),
    );
    expect(results.flat().filter(({ outcome }) => outcome === 'created')).toHaveLength(9);
    expect((await countOf(store, 'profile')) - before).toBe(9);
    expect(await propertiesOf(store, 'shared@l.test')).toBe('{"points": 8}');
  });

  it('do not wait in a circle where items of two batches write by several rules in opposite order', async () => {
    const [a, b] = ['a@l.test', 'b@l.test'].map(
      (email) => (rule: string, value: unknown) => person({ email }, rule, value, 'points'),
    );
    for (let round = 0; round < 10; round += 1) {
      await Promise.all([
        ingest([a!('sum', 1), b!('set-if-empty', 0), b!('sum', 1), a!('sum', 1)]),
        ingest([b!('sum', 1), a!('set-if-empty', 0), a!('sum', 1), b!('sum', 1)]),
      ]);
      expect(await propertiesOf(store, 'a@l.test')).toBe('{"points": 3}');
      await store.database.transaction((tx) =>
        eraseProfiles(
          tx,
          store.workspaceId,
          sql`SELECT profile_id FROM profile.identity WHERE value IN ('a@l.test', 'b@l.test')`,
        ),
      );
    }
  });

  it('keep the identities a profile had where one it was about to get is taken', async () => {
    await ingest([person({ email: 'keeps@l.test' })]);
    const both = await fileShape(store, ['email', 'phone', 'customerId']);
    await store.database.transaction((tx) =>
      stageRows(tx, both, [{ ids: ['keeps@l.test', '+49777', 'KEEPS-1'], assign: { name: 'file' } }]),
    );
    const plan = await store.database.transaction((tx) => resolveRows(tx, both));
    await ingest([person({ phone: '+49777' })]);
    const counts = await store.database.transaction((tx) => applyChunk(tx, both, 0));
    expect(counts.moved).toBe(1);
    const { rows } = await store.database.query<{ value: string }>(sql`
      SELECT value FROM profile.identity WHERE profile_id = (SELECT profile_id FROM profile.identity WHERE value = 'keeps@l.test')`);
    expect(rows).toEqual([{ value: 'keeps@l.test' }]);
    const last = await store.database.transaction((tx) => applyMoved(tx, both, plan.chunks));
    expect(last).toMatchObject({ ambiguous: 1, moved: 0, updated: 0 });
  });

  it('let the first identifier decide again where a row moved under first match', async () => {
    const shape = await fileShape(store, ['email', 'phone'], { policy: 'first-match' });
    await store.database.transaction((tx) =>
      stageRows(tx, shape, [{ ids: ['fm@l.test', '+49888'], assign: { name: 'file' } }]),
    );
    const plan = await store.database.transaction((tx) => resolveRows(tx, shape));
    await ingest([person({ phone: '+49888' }, 'set', 'phone'), person({ email: 'fm@l.test' }, 'set', 'mail')]);
    expect((await store.database.transaction((tx) => applyChunk(tx, shape, 0))).moved).toBe(1);
    const last = await store.database.transaction((tx) => applyMoved(tx, shape, plan.chunks));
    expect(last).toMatchObject({ ambiguous: 0, updated: 1 });
    expect(await propertiesOf(store, 'fm@l.test')).toBe('{"name": "file"}');
    expect(await propertiesOf(store, '+49888', 'phone')).toBe('{"name": "phone"}');
  });

  it.each([true, false])(
    'give an erased profile no second life under its id (creation allowed: %s)',
    async (allowCreation) => {
      const email = `erased-${allowCreation}@l.test`;
      const [made] = await ingest([person({ email })]);
      const shape = await fileShape(store, ['email'], { allowCreation });
      await store.database.transaction((tx) => stageRows(tx, shape, [{ ids: [email], assign: { name: 'again' } }]));
      const plan = await store.database.transaction((tx) => resolveRows(tx, shape));
      await store.database.transaction((tx) =>
        eraseProfiles(tx, store.workspaceId, sql`SELECT ${made!.profileId}::uuid`),
      );
      expect((await store.database.transaction((tx) => applyChunk(tx, shape, 0))).moved).toBe(1);
      const last = await store.database.transaction((tx) => applyMoved(tx, shape, plan.chunks));
      expect(last).toMatchObject(allowCreation ? { created: 1, unmatched: 0 } : { created: 0, unmatched: 1 });
      const { rows } = await store.database.query<{ id: string }>(
        sql`SELECT profile_id AS id FROM profile.identity WHERE value = ${email}`,
      );
      expect(rows).toHaveLength(allowCreation ? 1 : 0);
      expect(rows.map(({ id }) => id)).not.toContain(made!.profileId);
    },
  );

  it('evaluate a member whom another writer of the group adds at the same time', async () => {
    await ingest([person({ email: 'member@l.test' })]);
    const catalogue = await store.catalogue();
    const put = (properties: string, members: readonly string[]) =>
      store.database.transaction((tx) =>
        putGroup(tx, catalogue, {
          type: 'company',
          key: 'acme',
          properties,
          members: members.map((value) => ({ namespace: 'email', value })),
        }),
      );
    await put('{"size": 1}', []);
    const { id } = await createSegment(store.database, store.workspaceId, {
      name: 'large companies',
      rule: { kind: 'group', type: 'company', property: 'size', op: 'greater', value: 10 },
    });
    while (await buildSegments(store.database));
    let later: Promise<unknown> | undefined;
    await store.database.transaction(async (tx) => {
      await putGroup(tx, await store.catalogue(), {
        type: 'company',
        key: 'acme',
        properties: '{}',
        members: [{ namespace: 'email', value: 'member@l.test' }],
      });
      later = put('{"size": 50}', []);
      await someoneWaits();
    });
    await later;
    const { rows } = await store.database.query(
      sql`SELECT FROM profile.membership WHERE segment_id = ${id}::uuid AND status = 'realized'`,
    );
    expect(rows).toHaveLength(1);
    await importRows(store, await fileShape(store, ['email']), [{ ids: ['member@l.test'], assign: { name: 'y' } }]);
  });
});

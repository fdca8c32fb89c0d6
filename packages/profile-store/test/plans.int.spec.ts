import { sql, type Transaction } from '@millrace/database';
import {
  applyChunk,
  buildSegments,
  createSegment,
  ingestBatch,
  putGroup,
  registerStreamTarget,
  resolveRows,
} from '../src/index.js';
import { createStore, fileShape, stageRows, type StoreFixture } from './store-fixture.js';

describe('a small change of a large store', () => {
  let store: StoreFixture;

  beforeAll(async () => {
    store = await createStore('plans');
    await store.addProperty('city');
    const { domainGroupId, workspaceId, namespaces } = await store.catalogue();
    await store.database.query(sql`
      WITH made AS (
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT uuidv7(), ${workspaceId}::int, ${domainGroupId}::int, jsonb_build_object('city', 'c' || n), 1 FROM generate_series(1, 20000) n RETURNING id
      )
      INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
      SELECT ${domainGroupId}::int, ${namespaces.get('email')!.id}::int, 'p' || row_number() OVER () || '@p.test', id FROM made`);
    await store.database.query(
      sql`INSERT INTO profile.group_type (workspace_id, code) VALUES (${workspaceId}, 'team')`,
    );
    await store.database.query(sql`
      INSERT INTO profile.group (group_type_id, key, properties) SELECT t.id, 'g' || n, '{"size": 1}' FROM profile.group_type t, generate_series(1, 5000) n`);
    await store.database.query(sql`
      INSERT INTO profile.group_member (profile_id, group_id)
      SELECT i.profile_id, g.id FROM profile.group g JOIN profile.identity i ON i.value = 'p' || substr(g.key, 2) || '@p.test'`);
    await createSegment(store.database, store.workspaceId, {
      name: 'large team',
      rule: { kind: 'group', type: 'team', property: 'size', op: 'greater', value: 10 },
    });
    await createSegment(store.database, store.workspaceId, {
      name: 'granted',
      rule: { kind: 'consent', objective: 'news', op: 'granted' },
    });
    await createSegment(store.database, store.workspaceId, {
      name: 'recent',
      rule: { kind: 'event', type: 'order', aggregate: 'count', withinDays: 3, where: [], op: 'greater', value: 0 },
    });
    while (await buildSegments(store.database));
    await createSegment(store.database, store.workspaceId, {
      name: 'still building',
      rule: { kind: 'property', property: 'city', op: 'exists' },
    });
    await store.database.transaction((tx) =>
      registerStreamTarget(tx, {
        goalId: '00000000-0000-4000-8000-000000000001',
        workspaceId: store.workspaceId,
        propertyIds: [],
        suppressSameValue: true,
      }),
    );
    await store.database.query(sql`ANALYZE`);
  });

  afterAll(async () => {
    await store.close();
  });

  /** Rows that the connection has read one after the other, by table; what earlier transactions read may be among them. */
  const rowsRead = async (tx: Transaction): Promise<ReadonlyMap<string, number>> => {
    const { rows } = await tx.query<{ relname: string; read: number }>(sql`
      SELECT relname, seq_tup_read::float8 AS read FROM pg_stat_xact_user_tables WHERE schemaname = 'profile'`);
    return new Map(rows.map(({ relname, read }) => [relname, read]));
  };

  /** In a transaction: does the work, and expects that it read of no table of the store many rows one after the other. */
  const expectNoTableRead = async (work: (tx: Transaction) => Promise<void>): Promise<void> => {
    await store.database.transaction(async (tx) => {
      const before = await rowsRead(tx);
      await work(tx);
      const read = [...(await rowsRead(tx))].map(([table, rows]) => ({ table, rows: rows - (before.get(table) ?? 0) }));
      expect(read.filter(({ rows }) => rows > 500)).toEqual([]);
    });
  };

  const settings = async (tx: Transaction): Promise<unknown> => {
    const { rows } = await tx.query(
      sql`SELECT current_setting('enable_hashjoin') || current_setting('enable_mergejoin') AS joins`,
    );
    return rows[0];
  };

  it('reads no table whole for a batch', async () => {
    const catalogue = await store.catalogue();
    await expectNoTableRead(async (tx) => {
      const results = await ingestBatch(
        tx,
        catalogue,
        ['p7@p.test', 'new@p.test'].map((value) => ({
          identities: [
            { namespace: 'email', value },
            { namespace: 'phone', value: `+${value.length}` },
          ],
          properties: [{ property: 'city', value: 'Bonn' }],
          consent: [{ objective: 'news', granted: true }],
          events: [{ type: 'order', id: value, occurredAt: '2026-01-01T00:00:00Z' }],
        })),
        { allowCreation: true },
      );
      expect(results.map(({ outcome }) => outcome)).toEqual(['updated', 'created']);
      expect(await settings(tx)).toEqual({ joins: 'onon' });
    });
  });

  it('reads no table whole for a batch of a hundred, and makes no table for the next', async () => {
    const catalogue = await store.catalogue();
    const made = new Set<unknown>();
    // The pool hands out the connection that came back last.
    for (const city of ['Bonn', 'Kiel', 'Jena']) {
      await expectNoTableRead(async (tx) => {
        const updates = Array.from({ length: 100 }, (_, index) => ({
          identities: [{ namespace: 'email', value: `p${index + 100}@p.test` }],
          properties: [{ property: 'city', value: city }],
        }));
        const results = await ingestBatch(tx, catalogue, updates, { allowCreation: false });
        expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['updated']));
        const { rows } = await tx.query(sql`SELECT 'pg_temp.incoming'::regclass::oid, pg_backend_pid()`);
        made.add(JSON.stringify(rows[0]));
      });
    }
    expect(made.size).toBe(1);
  });

  it('reads no table whole for a group', async () => {
    const catalogue = await store.catalogue();
    await expectNoTableRead(async (tx) => {
      const members = [{ namespace: 'email', value: 'p5@p.test' }];
      await putGroup(tx, catalogue, { type: 'company', key: 'acme', properties: '{}', members });
    });
  });

  it('reads no table whole for a batch that links profiles to groups, old and new', async () => {
    const catalogue = await store.catalogue();
    await expectNoTableRead(async (tx) => {
      const updates = ['p11@p.test', 'p12@p.test', 'linked@p.test'].map((value) => ({
        identities: [{ namespace: 'email', value }],
        groups: [
          { type: 'team', key: 'g77', replace: value.startsWith('p11') },
          { type: 'team', key: `of ${value}`, replace: value.startsWith('p11') },
        ],
      }));
      const results = await ingestBatch(tx, catalogue, updates, { allowCreation: true });
      expect(results.map(({ outcome }) => outcome)).toEqual(['updated', 'updated', 'created']);
      expect(await settings(tx)).toEqual({ joins: 'onon' });
    });
  });

  it('reads no table whole for chunks of a file of groups, several in one transaction', async () => {
    const groupTypeId = (await store.catalogue()).groupTypes.get('team')!.id;
    const shape = await fileShape(store, ['email'], { groupTypeId, chunkLines: 2 });
    await store.database.transaction((tx) =>
      stageRows(
        tx,
        shape,
        ['g21', 'g22', 'g21', 'g23', 'another'].map((key) => ({ ids: [key], assign: { size: 50 } })),
      ),
    );
    const { chunks } = await store.database.transaction((tx) => resolveRows(tx, shape));
    await expectNoTableRead(async (tx) => {
      let counted = 0;
      for (let chunk = 0; chunk < chunks; chunk += 1) {
        const { created, updated } = await applyChunk(tx, shape, chunk);
        counted += created + updated;
      }
      expect(counted).toBe(5);
    });
    const { rowCount } = await store.database.query(sql`
      SELECT FROM profile.membership m JOIN profile.segment s ON s.id = m.segment_id WHERE s.name = 'large team' AND m.status = 'realized'`);
    expect(rowCount).toBe(3);
  });

  it('reads no table whole for a chunk of a file', async () => {
    const uses = { fill: false, clear: false, append: [], increment: [], consent: true };
    const shape = await fileShape(store, ['email'], { uses });
    await store.database.transaction((tx) =>
      stageRows(tx, shape, [
        { ids: ['p8@p.test'], assign: { city: 'Ulm' }, consent: { news: true } },
        { ids: ['p9@p.test'], consent: { news: true } },
        { ids: ['p9@p.test'], consent: { news: false } },
        { ids: ['fresh@p.test'] },
      ]),
    );
    await store.database.transaction((tx) => resolveRows(tx, shape));
    await expectNoTableRead(async (tx) => {
      expect(await applyChunk(tx, shape, 0)).toMatchObject({ updated: 3, created: 1 });
    });
  });

  it('reads no table whole for the events of a chunk, known, new and foreign', async () => {
    const orderTypeId = (await store.catalogue()).eventTypes.get('order')!.id;
    await store.database.query(sql`
      INSERT INTO profile.event (event_type_id, id, profile_id, occurred_at)
      SELECT ${orderTypeId}::int, 'o' || n, i.profile_id, '2020-01-01' FROM generate_series(1, 5000) n JOIN profile.identity i ON i.value = 'p' || n || '@p.test'`);
    await store.database.query(sql`ANALYZE profile.event`);
    const base = await fileShape(store, ['email']);
    const shape = { ...base, events: { schema: base.staging.schema, name: `${base.staging.name}_event` } };
    await store.database.transaction(async (tx) => {
      await stageRows(tx, shape, [{ ids: ['p21@p.test'] }, { ids: ['p22@p.test'] }]);
      await tx.query(sql`
        CREATE TABLE ${sql.id(shape.events.schema, shape.events.name)} AS
        SELECT line AS root_line, ${sql.integer(orderTypeId)} AS event_type_id, id COLLATE "C" AS event_id, '2020-01-01'::timestamptz AS occurred_at,
          '{}'::jsonb AS properties, lists::jsonb AS lists, list_rows
        FROM (VALUES (1, 'o21', '{}', 0), (1, 'fresh', '{"products": [{}]}', 1), (2, 'o23', '{"products": [{}]}', 1))
          AS v (line, id, lists, list_rows)`);
      await resolveRows(tx, shape);
    });
    await expectNoTableRead(async (tx) => {
      expect(await applyChunk(tx, shape, 0)).toMatchObject({ events: 2, eventLines: 1, eventsConflicting: 1 });
    });
    const { rows } = await store.database.query(sql`
      SELECT e.id, i.value FROM profile.event e JOIN profile.identity i USING (profile_id) WHERE e.id IN ('o23', 'fresh') ORDER BY e.id`);
    expect(rows).toEqual([
      { id: 'fresh', value: 'p21@p.test' },
      { id: 'o23', value: 'p23@p.test' },
    ]);
  });
});

import { sql } from '@millrace/database';
import { TransientError, type SegmentRule } from '@millrace/domain';
import { compileSegment } from '@millrace/mapping';
import {
  applyChunk,
  applyMoved,
  buildSegments,
  checkTimers,
  createSegment,
  eraseProfiles,
  ingestBatch,
  putGroup,
  registerStreamTarget,
  resolveRows,
  updateSegment,
  type MergeShape,
} from '../src/index.js';
import { auditChanges } from './change-audit.js';
import { generator, type Generator } from './generator.js';
import { createStore, fileShape, importRows, stageRows, type StagedRow, type StoreFixture } from './store-fixture.js';

/** As a client of the ingestion API does when it is told to: a refused batch has written nothing. */
async function sendAgain<T>(send: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof TransientError && error.code === 'identities-contended')) throw error;
    }
  }
}

const people = 30;
const namespaces = ['email', 'phone', 'customerId'] as const;
const uses = { fill: true, clear: true, append: ['tags'], increment: ['points'], consent: true };
const companies = ['acme', 'umbrella', 'initech'] as const;

/** What the writers were told was done, by profile. */
interface Ledger {
  readonly points: Map<string, number>;
  readonly tags: Map<string, Set<string>>;
  readonly errors: unknown[];
  /** Of groups. */
  visits: number;
}

function identifier(namespace: (typeof namespaces)[number], person: number): string {
  return namespace === 'phone' ? `+49${1000 + person}` : `${namespace.toLowerCase()}${person}@c.test`;
}

describe('several writers at once', () => {
  let store: StoreFixture;
  const ledger: Ledger = { points: new Map(), tags: new Map(), errors: [], visits: 0 };
  const segments: string[] = [];
  const seed = Number(process.env.MILLRACE_TEST_SEED ?? 20261121);

  const note = (profileId: string, points: number | undefined, tag: string | undefined): void => {
    if (points !== undefined) ledger.points.set(profileId, (ledger.points.get(profileId) ?? 0) + points);
    if (tag !== undefined) ledger.tags.set(profileId, (ledger.tags.get(profileId) ?? new Set()).add(tag));
  };

  const rules: readonly SegmentRule[] = [
    { kind: 'event', type: 'order', aggregate: 'count', where: [], op: 'greater-or-equal', value: 2 },
    { kind: 'property', property: 'points', op: 'greater', value: 20 },
    { kind: 'property', property: 'tags', op: 'contains', value: 't1' },
    { kind: 'consent', objective: 'news', op: 'granted' },
    { kind: 'not', rule: { kind: 'property', property: 'gone', op: 'exists' } },
    { kind: 'group', type: 'company', property: 'size', op: 'greater', value: 10 },
    { kind: 'identity', namespace: 'phone', op: 'exists' },
    { kind: 'event', type: 'order', aggregate: 'count', withinDays: 1, where: [], op: 'greater', value: 0 },
  ];

  beforeAll(async () => {
    store = await createStore('concurrent_writers');
    await store.addProperty('name');
    await store.addProperty('first');
    await store.addProperty('gone');
    await store.addProperty('tags', { list: true });
    await store.addProperty('points', { type: 'decimal' });
    const catalogue = await store.catalogue();
    await store.database.transaction((tx) =>
      registerStreamTarget(tx, {
        goalId: '00000000-0000-4000-8000-000000000001',
        workspaceId: store.workspaceId,
        propertyIds: [...catalogue.properties.values()].map(({ id }) => id),
        suppressSameValue: false,
      }),
    );
    await store.database.transaction(async (tx) =>
      putGroup(tx, catalogue, { type: 'company', key: 'acme', properties: '{"size": 5}', members: [] }),
    );
    for (const [index, rule] of rules.entries()) {
      segments.push((await createSegment(store.database, store.workspaceId, { name: `s${index}`, rule })).id);
    }
    while (await buildSegments(store.database));
    await auditChanges(store.database);
  });

  afterAll(async () => {
    await store.close();
  });

  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      ledger.errors.push(error);
    }
  };

  const importFile = async (random: Generator): Promise<void> => {
    const identifiers = random.some(namespaces, 1);
    const rows: (StagedRow & { points?: number | undefined; tag?: string | undefined })[] = [];
    for (let line = 0; line < 40; line += 1) {
      const person = random.integer(people);
      const known = random.some(identifiers, 1);
      const points = random.chance(0.5) ? random.integer(5) : undefined;
      const tag = random.chance(0.3) ? `t${random.integer(8)}` : undefined;
      rows.push({
        ids: identifiers.map((namespace) => (known.includes(namespace) ? identifier(namespace, person) : null)),
        assign: {
          name: `n${random.integer(3)}`,
          ...(random.chance(0.3) ? { gone: random.chance(0.5) ? 'x' : null } : {}),
        },
        fill: random.chance(0.3) ? { first: `f${random.integer(1000)}` } : undefined,
        append: tag === undefined ? undefined : { tags: [tag] },
        increment: points === undefined ? undefined : { points },
        consent: random.chance(0.2) ? { news: random.chance(0.5) } : undefined,
        groups: random.chance(0.3) ? { 0: [random.pick(companies)] } : undefined,
        points,
        tag,
      } as StagedRow);
    }
    const company = (await store.catalogue()).groupTypes.get('company')!.id;
    const links = [{ typeId: company, create: true, replace: random.chance(0.5) }];
    const base = await fileShape(store, identifiers, { uses: { ...uses, groups: links }, chunkLines: 10 });
    const shape: MergeShape = { ...base, events: { schema: 'staging', name: `${base.staging.name}_event` } };
    const orderId = (await store.catalogue()).eventTypes.get('order')!.id;
    const events = rows.map((_, index) => ({ line: index + 1, id: `o${random.integer(150)}` }));
    const once = [...new Map(events.map((event) => [event.id, event])).values()];
    await store.database.transaction(async (tx) => {
      await stageRows(tx, shape, rows);
      await tx.query(sql`
        CREATE TABLE ${sql.id('staging', shape.events!.name)} AS
        SELECT line AS root_line, ${orderId}::int AS event_type_id, id AS event_id, now() AS occurred_at, '{}'::jsonb AS properties, '{}'::jsonb AS lists, 0 AS list_rows
        FROM unnest(${once.map(({ line }) => line)}::bigint[], ${once.map(({ id }) => id)}::text[]) AS e (line, id)`);
    });
    const plan = await store.database.transaction((tx) => resolveRows(tx, shape));
    const waiting = Array.from({ length: plan.chunks }, (_, chunk) => chunk);
    const lane = async (): Promise<void> => {
      for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
        const mine = chunk;
        await store.database.transaction((tx) => applyChunk(tx, shape, mine));
      }
    };
    await Promise.all([lane(), lane()]);
    for (let chunk = plan.chunks, moved = 1; moved > 0; chunk += 1) {
      ({ moved } = await store.database.transaction((tx) => applyMoved(tx, shape, chunk)));
    }
    const applied = await store.database.query<{ line: number; profile_id: string }>(sql`
      SELECT coalesce(l.line, pl.component)::int AS line, pl.profile_id FROM ${sql.id('staging', shape.plan.name)} pl
      LEFT JOIN ${sql.id('staging', shape.planLines.name)} l ON l.component = pl.component AND pl.rows > 1 WHERE pl.status = 'a'`);
    for (const { line, profile_id } of applied.rows) note(profile_id, rows[line - 1]!.points, rows[line - 1]!.tag);
  };

  const ingest = async (random: Generator): Promise<void> => {
    const items = Array.from({ length: 8 }, () => {
      const person = random.integer(people);
      const points = random.chance(0.7) ? random.integer(5) : undefined;
      const tag = random.chance(0.3) ? `t${random.integer(8)}` : undefined;
      const properties = [
        {
          property: 'name',
          value: `n${random.integer(3)}`,
          rule: random.pick(['set', 'set-if-empty', 'set-or-clear']),
        },
        ...(points === undefined ? [] : [{ property: 'points', value: points, rule: 'sum' }]),
        ...(tag === undefined ? [] : [{ property: 'tags', value: [tag], rule: 'add' }]),
        ...(random.chance(0.3) ? [{ property: 'gone', value: random.pick(['', 'x']), rule: 'set-or-clear' }] : []),
      ];
      const item = {
        identities: random
          .some(namespaces, 1)
          .map((namespace) => ({ namespace, value: identifier(namespace, person) })),
        properties,
        consent: random.chance(0.2) ? [{ objective: 'news', granted: random.chance(0.5) }] : [],
        groups: random.chance(0.3) ? [{ type: 'company', key: random.pick(companies) }] : [],
        events: random.chance(0.4)
          ? [{ type: 'order', id: `o${random.integer(150)}`, occurredAt: '2026-01-01T00:00:00Z' }]
          : [],
      };
      return { item, points, tag };
    });
    const catalogue = await store.catalogue();
    const results = await sendAgain(() =>
      store.database.transaction((tx) =>
        ingestBatch(
          tx,
          catalogue,
          items.map(({ item }) => item),
          { allowCreation: true },
        ),
      ),
    );
    results.forEach(({ profileId }, index) => {
      if (profileId !== undefined) note(profileId, items[index]!.points, items[index]!.tag);
    });
  };

  const importGroups = async (random: Generator): Promise<void> => {
    const groupTypeId = (await store.catalogue()).groupTypes.get('company')!.id;
    const shape = await fileShape(store, ['email'], {
      uses: { ...uses, consent: false, append: [], fill: false, increment: ['visits'] },
      groupTypeId,
      chunkLines: 3,
    });
    const rows = Array.from({ length: 12 }, () => ({
      ids: [random.pick(companies)],
      assign: { size: random.pick([5, 50, 'many']) },
      increment: { visits: 1 },
    }));
    await importRows(store, shape, rows);
    ledger.visits += rows.length;
  };

  const regroup = async (random: Generator): Promise<void> => {
    const members = Array.from({ length: 3 }, () => ({
      namespace: 'email',
      value: identifier('email', random.integer(people)),
    }));
    const catalogue = await store.catalogue();
    const properties = `{"size": ${random.pick(['5', '50', '"many"'])}}`;
    const key = random.pick(companies);
    await store.database.transaction((tx) => putGroup(tx, catalogue, { type: 'company', key, properties, members }));
  };

  const redefine = async (random: Generator): Promise<void> => {
    const index = random.integer(2);
    const value = 1 + random.integer(30);
    const rule: SegmentRule = { ...(rules[index] as Extract<SegmentRule, { kind: 'event' }>), value };
    await updateSegment(store.database, store.workspaceId, segments[index]!, { name: `s${index}`, rule });
  };

  const erase = async (random: Generator): Promise<void> => {
    await store.database.transaction((tx) =>
      eraseProfiles(
        tx,
        store.workspaceId,
        sql`SELECT profile_id FROM profile.identity WHERE value = ${identifier('email', random.integer(people))}`,
      ),
    );
  };

  it('lose nothing, double nothing and never wait for each other in a circle', async () => {
    let writing = true;
    const writers: { work: (random: Generator) => Promise<unknown>; times: number }[] = [
      { work: importFile, times: 8 },
      { work: importFile, times: 8 },
      { work: ingest, times: 40 },
      { work: ingest, times: 40 },
      { work: ingest, times: 40 },
      { work: regroup, times: 40 },
      { work: importGroups, times: 6 },
      { work: importGroups, times: 6 },
      { work: redefine, times: 12 },
      { work: erase, times: 6 },
    ];
    const builder = async (): Promise<void> => {
      while (writing) await attempt(() => buildSegments(store.database).then(() => checkTimers(store.database)));
    };
    const builders = [builder(), builder()];
    await Promise.all(
      writers.map(async ({ work, times }, index) => {
        const random = generator(seed + index);
        for (let turn = 0; turn < times; turn += 1) await attempt(() => work(random));
      }),
    );
    writing = false;
    await Promise.all(builders);
    while (await buildSegments(store.database));
    expect(
      ledger.errors.map((error) => (error instanceof Error ? [error.message, String(error.cause)] : error)),
    ).toEqual([]);
  });

  it('add up to what was applied', async () => {
    const { rows } = await store.database.query<{ id: string; points: string | null; tags: string | null }>(
      sql`SELECT id, properties->>'points' AS points, properties->'tags' AS tags FROM profile.profile`,
    );
    expect(rows.length).toBeGreaterThan(people / 2);
    for (const { id, points, tags } of rows) {
      expect([id, Number(points ?? 0)]).toEqual([id, ledger.points.get(id) ?? 0]);
      expect((JSON.parse(tags ?? '[]') as string[]).sort()).toEqual([...(ledger.tags.get(id) ?? [])].sort());
    }
  });

  it('leave nobody without identity and nothing without its profile', async () => {
    const without = await store.database.query(
      sql`SELECT p.id, p.properties FROM profile.profile p WHERE NOT EXISTS (SELECT FROM profile.identity i WHERE i.profile_id = p.id)`,
    );
    expect(without.rows).toEqual([]);
    for (const table of ['identity', 'event', 'consent', 'membership', 'membership_timer', 'group_member']) {
      const orphans = await store.database.query(
        sql`SELECT t.* FROM ${sql.id('profile', table)} t WHERE NOT EXISTS (SELECT FROM profile.profile p WHERE p.id = t.profile_id)`,
      );
      expect([table, orphans.rows]).toEqual([table, []]);
    }
  });

  it('add each row of an imported group once', async () => {
    const { rows } = await store.database.query<{ visits: number }>(
      sql`SELECT sum((properties->>'visits')::numeric)::float8 AS visits FROM profile.group`,
    );
    expect(rows).toEqual([{ visits: ledger.visits }]);
  });

  it('keep every membership as a fresh evaluation of its rule says', async () => {
    const catalogue = await store.catalogue();
    for (const segment of catalogue.segments.values()) {
      const current = segment.versions.find(({ state }) => state === 'current')!;
      const { condition } = compileSegment(current.rule, catalogue);
      const { rows } = await store.database.query(sql`
        SELECT p.id, p.properties, coalesce(m.status, 'none') AS status FROM profile.profile p
        LEFT JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${segment.id}::uuid
        WHERE (coalesce(m.status, 'exited') = 'realized') <> ${condition}`);
      expect([segment.name, rows]).toEqual([segment.name, []]);
    }
  });

  it('raise versions, stamp transactions and leave one outbox row for each profile and commit', async () => {
    const { rows: unstamped } = await store.database.query(sql`
      SELECT kind, profile_id, detail FROM audit.change WHERE (detail->>'stamp') IS DISTINCT FROM xid::text AND detail ? 'stamp'`);
    expect(unstamped.slice(0, 3)).toEqual([]);
    const { rows: sunk } = await store.database.query(sql`
      SELECT detail FROM audit.change WHERE kind = 'profile' AND (detail->>'before')::bigint >= (detail->>'after')::bigint`);
    expect(sunk).toEqual([]);
    const { rows: identities } = await store.database.query(sql`
      SELECT c.detail FROM audit.change c JOIN profile.identity i ON i.profile_id = c.profile_id AND i.value = c.detail->>'value'
      WHERE c.kind = 'identity' AND NOT EXISTS (SELECT FROM audit.change p WHERE p.xid = c.xid AND p.profile_id = c.profile_id AND p.detail ? 'stamp' AND p.kind = 'profile')`);
    expect(identities).toEqual([]);
    const { rows: unheard } = await store.database.query(sql`
      SELECT c.kind, c.profile_id, c.detail, c.query FROM audit.change c
      WHERE c.kind NOT IN ('outbox', 'identity', 'group')
        -- Streams show no groups: a link alone is none of their business.
        AND NOT (c.kind = 'profile' AND c.detail ? 'same' AND EXISTS (SELECT FROM audit.change g WHERE g.kind = 'group' AND g.xid = c.xid AND g.profile_id = c.profile_id))
        AND NOT EXISTS (SELECT FROM audit.change o WHERE o.kind = 'outbox' AND o.xid = c.xid AND o.profile_id = c.profile_id
        AND (c.kind <> 'membership' OR o.detail->'segments' ? (c.detail->>'segment'))
        AND (c.kind <> 'consent' OR (o.detail->>'consent')::boolean))`);
    expect(unheard.slice(0, 3)).toEqual([]);
    const { rows: repeated } = await store.database.query(sql`
      SELECT xid, profile_id, count(*) FROM audit.change WHERE kind = 'outbox' GROUP BY xid, profile_id HAVING count(*) > 1`);
    expect(repeated).toEqual([]);
    const { rows: early } = await store.database.query(sql`
      SELECT o.detail FROM audit.change o JOIN (
        SELECT xid, profile_id, max((detail->>'after')::bigint) AS version FROM audit.change WHERE kind = 'profile' GROUP BY xid, profile_id) p USING (xid, profile_id)
      WHERE o.kind = 'outbox' AND (o.detail->>'version')::bigint <> p.version`);
    expect(early).toEqual([]);
  });
});

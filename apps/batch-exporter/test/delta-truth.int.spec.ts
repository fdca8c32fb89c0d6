import { randomUUID } from 'node:crypto';
import { Database, sql, type Transaction } from '@millrace/database';
import type { SegmentRule } from '@millrace/domain';
import {
  buildSegments,
  checkTimers,
  createEventType,
  createProperty,
  createSegment,
  eraseProfiles,
  ingestBatch,
  loadCatalogue,
  putGroup,
  putLifecycle,
  updateSegment,
} from '@millrace/profile-store';
import { waitFor } from '@millrace/testing';
import { ExportFixture } from './export-fixture.js';

const people = 48;
const households = 5;
const writers = 5;
/** Deltas of each goal while the writers write. */
const rounds = 24;
/** On a busy machine fewer, but never without some. */
const fewestRounds = 4;
const writingMs = 15_000;
/** Of a segment rule: long enough for a person to stay over an export, short enough to leave during the test. */
const recentDays = 2 / 86_400;

/** The same numbers every time; which of them falls to which writer differs, and shall. */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * limit);
  };
}

/** A receiver that does what the rows say. */
class Receiver {
  readonly rows = new Map<string, string>();

  take(lines: readonly string[]): void {
    for (const line of lines) {
      const [key = '', ...rest] = line.split(',');
      const status = rest.pop();
      if (status === 'realized') this.rows.set(key, rest.join(','));
      else this.rows.delete(key);
    }
  }

  get state(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.rows].sort(([left], [right]) => (left < right ? -1 : 1)));
  }
}

const email = (person: number): string => `u${person}@x.test`;
const column = (header: string, source: object): object => ({ header, source });
const profileId = column('id', { kind: 'profile-id' });
const status = column('status', { kind: 'membership-status' });

describe('deltas beside writers of every kind, whose transactions last long or short and end in any order', () => {
  let fixture: ExportFixture;
  let store: Database;
  let segmentId: string;
  let richId: string;
  let lifecycleId: string;

  beforeAll(async () => {
    fixture = await ExportFixture.create('delta_truth');
    store = new Database({ url: fixture.testDatabase.url, applicationName: 'writer', maxConnections: writers + 4 });
    for (const property of [
      { name: 'member', type: 'boolean' as const },
      { name: 'seenAt', type: 'timestamp' as const },
      { name: 'household', type: 'string' as const },
    ])
      await store.transaction((tx) =>
        createProperty(tx, fixture.workspaceId, { list: false, unique: false, labels: [], ...property }),
      );
    segmentId = (await createSegment(store, fixture.workspaceId, { name: 'Members', rule: ruleOf(0) })).id;
    const rich = { kind: 'property', property: 'points', op: 'greater', value: 50 } as const;
    richId = (await createSegment(store, fixture.workspaceId, { name: 'Rich', rule: rich })).id;
    const stages = [
      { name: 'member', segmentId },
      { name: 'rich', segmentId: richId },
    ];
    lifecycleId = (await putLifecycle(store, fixture.workspaceId, { name: 'Journey', stages })).id;
    const page = {
      code: 'page',
      properties: [{ name: 'title', type: 'string' as const }],
      lists: [],
      interaction: 'title',
    };
    await createEventType(store, fixture.workspaceId, page);
    while (await buildSegments(store)) continue;
    fixture.startWorker();
  });

  afterAll(async () => {
    await store.end();
    await fixture.close();
  });

  const ruleOf = (threshold: number): SegmentRule => ({
    kind: 'any',
    rules: [
      { kind: 'property', property: 'member', op: 'equals', value: true },
      { kind: 'property', property: 'points', op: 'greater', value: 90 - threshold },
      { kind: 'recency', property: 'seenAt', op: 'within-last', days: recentDays },
    ],
  });

  const goalWith = (changes: object): Readonly<Record<string, unknown>> =>
    fixture.goal({
      segmentId,
      fileName: `${randomUUID()}_%DATETIME%`,
      consentObjectives: ['news'],
      tombstones: true,
      ...changes,
    });

  async function write(random: (limit: number) => number): Promise<void> {
    const pauseMs = random(8) === 0 ? 400 : random(25);
    await store.transaction(async (tx) => {
      await change(tx, random);
      await tx.query(sql`SELECT pg_sleep(${pauseMs / 1000})`);
    });
  }

  async function change(tx: Transaction, random: (limit: number) => number): Promise<void> {
    const catalogue = await loadCatalogue(tx, fixture.workspaceId);
    const person = (): number => random(people);
    const update = async (properties: object, more: object = {}, rule = 'set'): Promise<void> => {
      const updates = Array.from({ length: 1 + random(3) }, () => ({
        identities: [{ namespace: 'email', value: email(person()) }],
        properties: Object.entries(properties).map(([property, value]) => ({
          property,
          value: value as unknown,
          rule,
        })),
        ...more,
      }));
      await ingestBatch(tx, catalogue, updates, { allowCreation: true });
    };
    switch (random(12)) {
      case 0:
        return await update({ points: random(100) });
      case 1:
        return await update({ member: random(2) === 0 });
      case 2:
        return await update({ seenAt: new Date().toISOString() });
      case 3:
        return await update({ household: `h${random(households)}` });
      case 9: {
        const view = { type: 'page', id: `p${random(200)}`, occurredAt: '2026-01-01T00:00:00Z' };
        return await update({}, { events: [{ ...view, properties: { title: `T${random(20)}` } }] });
      }
      case 8:
        return await update({ household: null }, {}, 'set-or-clear');
      case 4:
        return await update({}, { consent: [{ objective: 'news', granted: random(3) > 0 }] });
      case 5: {
        const identities = [
          { namespace: 'email', value: email(person()) },
          { namespace: 'customerId', value: `c${random(1_000_000)}` },
        ];
        await ingestBatch(tx, catalogue, [{ identities }], { allowCreation: true });
        return;
      }
      case 6:
      case 7: {
        const members = random(2) === 0 ? [] : [{ namespace: 'email', value: email(person()) }];
        const group = { type: 'household', key: `g${random(households)}` };
        await putGroup(tx, catalogue, { ...group, properties: JSON.stringify({ title: `t${random(50)}` }), members });
        return;
      }
      default:
        if (random(4) > 0) return await update({ points: random(100), member: true });
        await eraseProfiles(
          tx,
          fixture.workspaceId,
          sql`SELECT profile_id FROM profile.identity WHERE value = ${email(person())}`,
        );
    }
  }

  /** What a receiver of everything must hold, read from the tables without what exports are made of. */
  async function truth(): Promise<Readonly<Record<string, string>>> {
    const { rows } = await store.query<{ id: string; row: string }>(sql`
      SELECT p.id, concat_ws(',',
        coalesce(p.properties->>'points', ''), coalesce(p.properties->>'household', ''),
        (SELECT coalesce(string_agg(i.value, ';' ORDER BY i.created_at, i.value), '') FROM profile.identity i
          JOIN profile.identity_namespace n ON n.id = i.namespace_id WHERE i.profile_id = p.id AND n.code = 'customerId'),
        (SELECT coalesce(string_agg(g.properties->>'title', ';' ORDER BY g.key COLLATE "C"), '') FROM profile.group_member gm
          JOIN profile.group g ON g.id = gm.group_id WHERE gm.profile_id = p.id)) AS row
      FROM profile.profile p JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${segmentId}::uuid AND m.status = 'realized'
      JOIN profile.consent c ON c.profile_id = p.id AND c.objective = 'news' AND c.granted
      ORDER BY p.id`);
    return Object.fromEntries(rows.map(({ id, row }) => [id, row]));
  }

  /** Of everybody truth is about: stage, segments and what was viewed. */
  async function journeys(): Promise<Readonly<Record<string, string>>> {
    const { rows } = await store.query<{ id: string; row: string }>(sql`
      SELECT p.id, concat_ws(',',
        CASE WHEN r.status = 'realized' THEN 'rich' ELSE 'member' END,
        CASE WHEN r.status = 'realized' THEN 'Members;Rich' ELSE 'Members' END,
        (SELECT coalesce(string_agg(DISTINCT e.properties->>'title', ';' ORDER BY e.properties->>'title'), '')
          FROM profile.event e WHERE e.profile_id = p.id AND e.properties ? 'title')) AS row
      FROM profile.profile p LEFT JOIN profile.membership r ON r.profile_id = p.id AND r.segment_id = ${richId}::uuid
      WHERE p.id = ANY (${Object.keys(await truth())}::uuid[]) ORDER BY p.id`);
    return Object.fromEntries(rows.map(({ id, row }) => [id, row]));
  }

  async function householders(): Promise<Readonly<Record<string, string>>> {
    const { rows } = await store.query<{ household: string; id: string }>(sql`
      SELECT DISTINCT ON (p.properties->>'household') p.properties->>'household' AS household, p.id
      FROM profile.profile p JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${segmentId}::uuid AND m.status = 'realized'
      JOIN profile.consent c ON c.profile_id = p.id AND c.objective = 'news' AND c.granted
      WHERE p.properties ? 'household'
      ORDER BY p.properties->>'household', m.qualified_at DESC, p.id DESC`);
    return Object.fromEntries(rows.map(({ household, id }) => [household, id]));
  }

  /** Of everybody truth is about: one row for each identity in a namespace. */
  async function identified(namespace: string): Promise<Readonly<Record<string, string>>> {
    const { rows } = await store.query<{ value: string; id: string }>(sql`
      SELECT i.value, i.profile_id AS id FROM profile.identity i JOIN profile.identity_namespace n ON n.id = i.namespace_id
      WHERE n.code = ${namespace} AND i.profile_id = ANY (${Object.keys(await truth())}::uuid[]) ORDER BY i.value COLLATE "C"`);
    return Object.fromEntries(rows.map(({ value, id }) => [value, id]));
  }

  it('bring file and store into agreement once the writers rest, in both modes, with one row per key, and by what receivers know people', async () => {
    const seedWriter = randomNumbers(7);
    await store.transaction(async (tx) => {
      const catalogue = await loadCatalogue(tx, fixture.workspaceId);
      const updates = Array.from({ length: people }, (_, person) => ({
        identities: [{ namespace: 'email', value: email(person) }],
        properties: [
          { property: 'points', value: seedWriter(100) },
          { property: 'household', value: `h${seedWriter(households)}` },
          { property: 'member', value: seedWriter(3) > 0 },
        ],
        consent: [{ objective: 'news', granted: seedWriter(4) > 0 }],
      }));
      await ingestBatch(tx, catalogue, updates, { allowCreation: true });
    });
    await store.transaction(async (tx) => {
      const members = Array.from({ length: people / 2 }, (_, person) => ({ namespace: 'email', value: email(person) }));
      const group = { type: 'household', key: 'g0', properties: '{"title": "t"}' };
      await putGroup(tx, await loadCatalogue(tx, fixture.workspaceId), { ...group, members });
    });

    const property = (name: string): object => column(name, { kind: 'property', property: name });
    const changed = {
      id: randomUUID(),
      receiver: new Receiver(),
      goal: goalWith({
        columns: [
          profileId,
          property('points'),
          property('household'),
          column('crm', { kind: 'identity', namespace: 'customerId' }),
          column('titles', { kind: 'group', type: 'household', property: 'title' }),
          status,
        ],
        parts: 2,
      }),
    };
    const members = {
      id: randomUUID(),
      receiver: new Receiver(),
      goal: goalWith({ mode: 'membership-only', columns: [profileId, status], mandatory: ['household'] }),
    };
    const keyed = {
      id: randomUUID(),
      receiver: new Receiver(),
      goal: goalWith({
        columns: [property('household'), profileId, status],
        tombstones: false,
        deduplicate: { by: 'properties', properties: ['household'] },
        splitRows: 3,
      }),
    };
    const keyedAndTold = {
      id: randomUUID(),
      receiver: new Receiver(),
      goal: goalWith({
        ...keyed.goal,
        fileName: `${randomUUID()}_%DATETIME%`,
        tombstones: true,
        mode: 'membership-only',
      }),
    };
    const byNamespace = {
      id: randomUUID(),
      receiver: new Receiver(),
      goal: goalWith({
        columns: [column('crm', { kind: 'identity', namespace: 'customerId' }), profileId, status],
        deduplicate: { by: 'namespace', namespace: 'customerId' },
      }),
    };
    // Knows nobody by the profile's id.
    const byEmail = {
      id: randomUUID(),
      receiver: new Receiver(),
      goal: goalWith({
        columns: [column('mail', { kind: 'identity', namespace: 'email' }), property('household'), status],
        mandatory: ['household'],
        splitRows: 5,
      }),
    };
    const journey = {
      id: randomUUID(),
      receiver: new Receiver(),
      goal: goalWith({
        columns: [
          profileId,
          column('stage', { kind: 'lifecycle', lifecycleId }),
          column('in', { kind: 'segments', segmentIds: [segmentId, richId] }),
          column('viewed', { kind: 'viewed-interactions', countsAsChange: true }),
          status,
        ],
      }),
    };
    const all = [journey, changed, members, keyed, keyedAndTold, byNamespace, byEmail];
    const modes = (mode: string): readonly string[] => all.map(() => mode);
    const deliver = async (): Promise<readonly unknown[]> =>
      await Promise.all(
        all.map(async ({ id, goal, receiver }) => {
          const { outcome, counts, error } = await fixture.run(id, goal);
          expect({ outcome, error }).toEqual({ outcome: 'succeeded', error: undefined });
          receiver.take(await fixture.rowsInOrder(counts));
          return counts.mode;
        }),
      );
    expect(await deliver()).toEqual(modes('full'));
    expect(changed.receiver.state).toEqual(await truth());

    let writing = true;
    const work = [
      ...Array.from({ length: writers }, async (_, writer) => {
        const random = randomNumbers(1000 + writer);
        while (writing) await write(random);
      }),
      (async () => {
        while (writing) await checkTimers(store);
      })(),
      (async () => {
        const random = randomNumbers(99);
        while (writing) {
          await updateSegment(store, fixture.workspaceId, segmentId, { name: 'Members', rule: ruleOf(random(60)) });
          while (await buildSegments(store)) continue;
          await store.query(sql`SELECT pg_sleep(0.3)`);
        }
      })(),
    ];
    const until = performance.now() + writingMs;
    for (let round = 0; round < rounds && (round < fewestRounds || performance.now() < until); round += 1)
      expect(await deliver()).toEqual(modes('delta'));
    writing = false;
    await Promise.all(work);
    while (await buildSegments(store)) continue;
    await waitFor(
      async () => {
        await checkTimers(store);
        const { rows } = await store.query<{ open: number }>(
          sql`SELECT count(*)::int AS open FROM profile.membership_timer`,
        );
        return rows[0]?.open === 0 ? true : undefined;
      },
      60_000,
      'the last timer',
    );

    expect(await deliver()).toEqual(modes('delta'));
    const settled = await truth();
    expect(Object.keys(settled).length).toBeGreaterThan(3);
    // Who has neither of the two mapped properties has nothing to be exported with.
    const mapped = Object.entries(settled).filter(([, row]) => !row.startsWith(',,'));
    expect(changed.receiver.state).toEqual(Object.fromEntries(mapped));
    expect(journey.receiver.state).toEqual(await journeys());
    const housed = Object.entries(settled).filter(([, row]) => row.split(',')[1] !== '');
    expect(Object.keys(members.receiver.state)).toEqual(housed.map(([id]) => id));
    const holders = await householders();
    expect(Object.keys(holders).length).toBeGreaterThan(1);
    expect(keyed.receiver.state).toEqual(holders);
    expect(keyedAndTold.receiver.state).toEqual(holders);
    const customers = await identified('customerId');
    expect(Object.keys(customers).length).toBeGreaterThan(0);
    expect(byNamespace.receiver.state).toEqual(customers);
    const mails = Object.entries(await identified('email')).map(([mail, id]) => [
      mail,
      settled[id]?.split(',')[1] ?? '',
    ]);
    expect(byEmail.receiver.state).toEqual(Object.fromEntries(mails.filter(([, household]) => household !== '')));
    const again = await Promise.all(all.map(async ({ id, goal }) => (await fixture.run(id, goal)).counts.rows));
    expect(again).toEqual(all.map(() => 0));
    const { rows: words } = await store.query(sql`SELECT FROM profile.last_words`);
    expect(words).toEqual([]);
  }, 180_000);
});

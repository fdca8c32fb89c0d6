import { sql } from '@millrace/database';
import { importGroupsGoal, type ImportGroupsGoal } from '@millrace/domain';
import {
  buildSegments,
  createGroupType,
  createSegment,
  ingestBatch,
  loadCatalogue,
  putGroup,
} from '@millrace/profile-store';
import { runRejects } from '../src/storage/rejects.js';
import { rehearsedFiles } from '../src/storage/rehearsals.js';
import { ImportHarness, outcomes, silentEvents } from './import-harness.js';

let harness: ImportHarness;

beforeEach(async () => {
  harness = await ImportHarness.create('erase-groups', [{ name: 'unit' }]);
  await createGroupType(harness.database, harness.workspaceId, {
    code: 'company',
    properties: [
      { name: 'name', type: 'string', list: false },
      { name: 'unit', type: 'string', list: false },
    ],
  });
});
afterEach(() => harness.close());

const goal = (changes: Record<string, unknown> = {}): ImportGroupsGoal =>
  importGroupsGoal.parse({
    kind: 'import-groups',
    name: 'companies',
    groupType: 'company',
    source: { bucket: harness.bucket, directory: 'in', pattern: { kind: 'wildcard', pattern: 'companies*' } },
    matching: { column: 'key' },
    mappings: [{ column: 'name', property: 'name' }],
    ...changes,
  });
const flagged = (changes: Record<string, unknown> = {}): ImportGroupsGoal =>
  goal({ deleteFlag: { column: 'gone' }, ...changes });

async function put(key: string, properties: object, customers: readonly string[] = []): Promise<void> {
  const catalogue = await loadCatalogue(harness.database, harness.workspaceId);
  await harness.database.transaction((tx) =>
    ingestBatch(
      tx,
      catalogue,
      customers.map((value) => ({ identities: [{ namespace: 'customerId', value }] })),
      { allowCreation: true },
    ),
  );
  const members = customers.map((value) => ({ namespace: 'customerId', value }));
  await harness.database.transaction((tx) =>
    putGroup(tx, catalogue, { type: 'company', key, properties: JSON.stringify(properties), members }),
  );
}

/** Names of the groups by key, with the customers in each. */
async function groups(): Promise<Readonly<Record<string, string>>> {
  const { rows } = await harness.database.query<{ key: string; content: string }>(sql`
    SELECT g.key, coalesce(g.properties->>'name', '') || ':' || coalesce(string_agg(i.value, ',' ORDER BY i.value), '') AS content
    FROM profile.group g LEFT JOIN profile.group_member gm ON gm.group_id = g.id LEFT JOIN profile.identity i ON i.profile_id = gm.profile_id
    GROUP BY g.id ORDER BY 1`);
  return Object.fromEntries(rows.map(({ key, content }) => [key, content]));
}

async function snapshot(): Promise<string> {
  const { rows } = await harness.database.query<{ now: string }>(sql`SELECT pg_current_snapshot()::text AS now`);
  return rows[0]!.now;
}

/** Customers whose profile itself changed since: what the next export of their groups is due for. */
async function changedSince(then: string): Promise<readonly string[]> {
  const { rows } = await harness.database.query<{ value: string }>(sql`
    SELECT i.value FROM profile.profile p JOIN profile.identity i ON i.profile_id = p.id
    WHERE NOT pg_visible_in_snapshot(p.changed_xid, ${then}::pg_snapshot) ORDER BY 1`);
  return rows.map(({ value }) => value);
}

it('a flagged row erases its group and the links of its members, whatever other rows say of it', async () => {
  await put('acme', { name: 'Acme' }, ['a', 'b']);
  await put('bolt', { name: 'Bolt' }, ['b', 'c']);
  const segment = await createSegment(harness.database, harness.workspaceId, {
    name: 'with acme',
    rule: { kind: 'group', type: 'company', property: 'name', op: 'equals', value: 'Acme' },
  });
  while (await buildSegments(harness.database));
  const before = await snapshot();
  harness.startWorker({ settings: { chunkLines: 2 } });
  await harness.put(
    'companies.csv',
    'key,name,gone\nacme,Renamed,\nbolt,Bolt,no\ncoil,Coil,0\nacme,,yes\nghost,,1\ncoil,Coil,perhaps\n',
  );
  const run = await harness.run(flagged());
  expect(run).toMatchObject({
    outcome: 'succeeded',
    counts: {
      rowsRead: 6,
      created: 1,
      unchanged: 1,
      erased: 2,
      rejected: 1,
      skipped: { unmatched: 1 },
      groupsErased: 1,
      groupsUnlinked: 2,
      groupsCreated: 1,
      profilesErased: 0,
    },
  });
  expect(outcomes(run.counts)).toBe(6);
  expect(await groups()).toEqual({ bolt: 'Bolt:b,c', coil: 'Coil:' });
  expect(await changedSince(before)).toEqual(['a', 'b']);
  const { rows } = await harness.database.query<{ status: string }>(
    sql`SELECT status FROM profile.membership WHERE segment_id = ${segment.id}::uuid`,
  );
  expect(rows.map(({ status }) => status)).toEqual(['exited', 'exited']);
  // The key may be used again.
  await harness.put('companies.csv', 'key,name,gone\nacme,Anew,\n');
  expect((await harness.run(flagged())).counts).toMatchObject({ created: 1, groupsErased: 0 });
  expect((await groups())['acme']).toBe('Anew:');
});

it('a dry run tells which groups it would erase, and erases none', async () => {
  await put('acme', { name: 'Acme' }, ['a']);
  harness.startWorker();
  await harness.put('companies.csv', 'key,gone\nacme,yes\n');
  const run = await harness.run(flagged({ mappings: [] }), { dryRun: true });
  expect(run.counts).toMatchObject({ rowsRead: 1, erased: 1, groupsErased: 1, groupsUnlinked: 1 });
  const [file] = await rehearsedFiles(harness.database, run.runId);
  expect(file?.samples).toMatchObject([{ outcome: 'erased', line: 2 }]);
  expect(await groups()).toEqual({ acme: 'Acme:a' });
});

it.each([
  [
    'made again, where groups may be made',
    true,
    { created: 1, updated: 1, skipped: {} },
    { acme: 'Anew:', bolt: 'Anew:' },
  ],
  [
    'matched by no row, where they may not',
    false,
    { created: 0, updated: 1, skipped: { unmatched: 1 } },
    { bolt: 'Anew:' },
  ],
])('a group that somebody else erased since the plan was frozen is %s', async (_, allowCreation, counts, then) => {
  await put('acme', { name: 'Acme' }, ['a']);
  await put('bolt', { name: 'Bolt' });
  await harness.put('companies.csv', 'key,name\nacme,Anew\nbolt,Anew\n');
  let died = false;
  const events = {
    ...silentEvents,
    filePlanned: (): void => {
      if (died) return;
      died = true;
      throw new Error('the worker dies here');
    },
  };
  await harness.holdRetries();
  harness.startWorker({ events });
  const runId = await harness.open(goal({ matching: { column: 'key', allowCreation } }));
  await harness.resume(async () => {
    await harness.database.query(sql`
        WITH ended AS (DELETE FROM profile.group WHERE key = 'acme' RETURNING id)
        DELETE FROM profile.group_member USING ended WHERE group_id = ended.id`);
  });
  const run = await harness.finished(runId);
  expect(outcomes(run.counts)).toBe(2);
  expect(run.counts).toMatchObject(counts);
  expect(await groups()).toEqual(then);
});

it('never loses a link, nor waits in a circle, where groups are erased and linked to at once', async () => {
  const keys = Array.from({ length: 10 }, (_, number) => `g${number}`);
  for (const key of keys) await put(key, { name: key }, [`m-${key}`]);
  harness.startWorker({ settings: { chunkLines: 3, lanes: 2 } });
  await harness.put('companies.csv', `key,gone\n${keys.map((key) => `${key},yes`).join('\n')}\n`);
  const run = harness.run(flagged({ mappings: [] }));
  const catalogue = await loadCatalogue(harness.database, harness.workspaceId);
  const batches = Array.from({ length: 12 }, (_, round) =>
    harness.database.transaction((tx) =>
      ingestBatch(
        tx,
        catalogue,
        [...keys].reverse().map((key) => ({
          identities: [{ namespace: 'customerId', value: `late-${round}-${key}` }],
          groups: [{ type: 'company', key }],
        })),
        { allowCreation: true },
      ),
    ),
  );
  for (const batch of await Promise.all(batches)) expect(batch.map(({ outcome }) => outcome)).not.toContain('rejected');
  expect(await run).toMatchObject({ outcome: 'succeeded', counts: { erased: 10 } });
  const { rows } = await harness.database.query<{ dangling: number }>(sql`
    SELECT count(*)::int AS dangling FROM profile.group_member gm WHERE NOT EXISTS (SELECT FROM profile.group g WHERE g.id = gm.group_id)`);
  expect(rows).toEqual([{ dangling: 0 }]);
});

describe('a connection kept to one organizational unit by a property', () => {
  const guardrails = { existingProfilesOnly: false, unit: { property: 'unit', value: 'north' } };
  const mappings = [
    { column: 'name', property: 'name' },
    { column: 'unit', property: 'unit' },
  ];

  it('rejects the rows of groups that are of another unit, would leave it, or would be erased in it', async () => {
    await put('n1', { name: 'N', unit: 'north' });
    await put('n2', { name: 'N', unit: 'north' });
    await put('n3', { name: 'N', unit: 'north' });
    await put('s1', { name: 'S', unit: 'south' });
    await put('s2', { name: 'S', unit: 'south' });
    harness.startWorker({ settings: { chunkLines: 3 } });
    const rows = ['n1,A,,', 'n2,A,south,', 'n3,,,yes', 's1,A,,', 's2,,,yes', 'x1,A,north,', 'x2,A,south,', 'x3,A,,'];
    await harness.put('companies.csv', `key,name,unit,gone\n${rows.join('\n')}\n`);
    const run = await harness.run(flagged({ mappings, rejectLimit: {} }), { guardrails });
    expect(run.counts).toMatchObject({ rowsRead: 8, updated: 1, created: 1, erased: 1, rejected: 5 });
    expect(outcomes(run.counts)).toBe(8);
    expect(await groups()).toEqual({ n1: 'A:', n2: 'N:', s1: 'S:', s2: 'S:', x1: 'A:' });
    const listed = await runRejects(harness.database, run.runId, { limit: 10 });
    expect(listed.map(({ line, code }) => [line, code])).toEqual([3, 5, 6, 8, 9].map((line) => [line, 'other-unit']));
  });

  it('cannot import groups of a type that does not declare it', async () => {
    await createGroupType(harness.database, harness.workspaceId, { code: 'household', properties: [] });
    harness.startWorker();
    await harness.put('companies.csv', 'key\nh1\n');
    const run = await harness.run(goal({ groupType: 'household', mappings: [] }), { guardrails });
    expect(run).toMatchObject({ outcome: 'failed', error: { code: 'unit-unknown' } });
  });

  it('erases no profile of another unit', async () => {
    harness.startWorker();
    await harness.put('customers.csv', 'id,unit\na,north\nb,south\nc,\n');
    await harness.run(harness.goal({ mappings: [{ column: 'unit', property: 'unit' }] }));
    await harness.put('customers.csv', 'id,unit,gone\na,,yes\nb,,yes\nc,,yes\n');
    const run = await harness.run(harness.goal({ deleteFlag: { column: 'gone' }, rejectLimit: {} }), { guardrails });
    expect(run.counts).toMatchObject({ rowsRead: 3, erased: 1, profilesErased: 1, rejected: 2 });
    expect(Object.keys(await harness.profiles())).toEqual(['b', 'c']);
  });
});

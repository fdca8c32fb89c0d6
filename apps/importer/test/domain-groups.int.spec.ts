import { sql } from '@millrace/database';
import { createDomainGroup, deleteDomainGroup, eraseProfiles } from '@millrace/profile-store';
import { ImportHarness, outcomes, type FinishedRun, type OpenOptions } from './import-harness.js';

let harness: ImportHarness;
let brand: string;
let defaultGroup: string;
beforeAll(async () => {
  harness = await ImportHarness.create('domain-groups', [{ name: 'name' }, { name: 'points', type: 'decimal' }]);
  harness.startWorker({ settings: { chunkLines: 3 } });
  ({ id: brand } = await createDomainGroup(harness.database, harness.workspaceId, { name: 'Brand B' }));
  const { rows } = await harness.database.query<{ id: string }>(
    sql`SELECT public_id AS id FROM profile.domain_group WHERE is_default`,
  );
  defaultGroup = rows[0]!.id;
});
afterAll(() => harness.close());

const exact = (name: string): object => ({ kind: 'exact', name });

async function put(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files))
    await harness.client.put(harness.bucket, `${directory}/${name}`, content);
}

interface Into {
  readonly domainGroupId?: string;
  readonly matching?: object;
  readonly goal?: object;
  readonly options?: OpenOptions;
}

/** Imports `customers.csv` of the directory into a domain group. */
async function importInto(directory: string, { domainGroupId, matching, goal, options }: Into): Promise<FinishedRun> {
  const run = await harness.run(
    harness.goal({
      source: { bucket: harness.bucket, directory, pattern: exact('customers.csv') },
      matching: {
        identifiers: [{ column: 'id', namespace: 'customerId' }],
        ...(domainGroupId === undefined ? {} : { domainGroupId }),
        ...matching,
      },
      mappings: [{ column: 'name', property: 'name' }],
      ...goal,
    }),
    options,
  );
  expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
  return run;
}

/** `domain group: identity: name` of the profiles whose customer id begins so. */
async function profiles(prefix: string): Promise<readonly string[]> {
  const { rows } = await harness.database.query<{ text: string }>(sql`
    SELECT d.name || ': ' || i.value || ': ' || coalesce(p.properties->>'name', '') AS text
    FROM profile.profile p JOIN profile.identity i ON i.profile_id = p.id AND i.domain_group_id = p.domain_group_id
    JOIN profile.domain_group d ON d.id = p.domain_group_id WHERE i.value LIKE ${`${prefix}%`} ORDER BY d.id, i.value`);
  return rows.map(({ text }) => text);
}

const customers = (prefix: string, name: string): string =>
  ['id,name', ...[1, 2, 3, 4].map((id) => `${prefix}${id},${name}`), ''].join('\n');

it('the same people are profiles of their own in each domain group', async () => {
  await put('a', { 'customers.csv': customers('a-', 'Ann') });
  expect((await importInto('a', {})).counts).toMatchObject({ created: 4 });
  expect((await importInto('a', { domainGroupId: brand })).counts).toMatchObject({ created: 4, updated: 0 });
  expect(await profiles('a-1')).toEqual(['default: a-1: Ann', 'Brand B: a-1: Ann']);
  await put('a', { 'customers.csv': customers('a-', 'Bea') });
  expect((await importInto('a', { domainGroupId: brand })).counts).toMatchObject({ created: 0, updated: 4 });
  expect(await profiles('a-1')).toEqual(['default: a-1: Ann', 'Brand B: a-1: Bea']);
});

it('a file is known to have been imported into a domain group by its id, and the default one is the same as none', async () => {
  await put('b', { 'customers.csv': customers('b-', 'Ann') });
  const known = { rowsRead: 0, filesSkipped: 1 };
  expect((await importInto('b', {})).counts).toMatchObject({ created: 4 });
  expect((await importInto('b', { domainGroupId: defaultGroup })).counts).toMatchObject(known);
  expect((await importInto('b', { domainGroupId: brand })).counts).toMatchObject({ created: 4 });
  expect((await importInto('b', { domainGroupId: brand.toUpperCase() })).counts).toMatchObject(known);
});

it('events of linked files go to the profiles of the domain group', async () => {
  await put('c', {
    'customers.csv': customers('c-', 'Ann'),
    'orders.csv': 'order,id,at\nco1,c-1,2026-01-02\nco2,c-2,2026-01-02\nco3,c-9,2026-01-02\n',
  });
  const goal = {
    linked: [{ alias: 'orders', pattern: exact('orders.csv'), column: 'id', parentColumn: 'id' }],
    events: [{ file: 'orders', type: 'order', idColumn: 'order', occurredAtColumn: 'at' }],
  };
  const there = await importInto('c', { domainGroupId: brand, goal });
  expect(there.counts).toMatchObject({ created: 4, events: 2, linkedRowsOrphaned: 1 });
  const { rows } = await harness.database.query<{ name: string }>(sql`
    SELECT DISTINCT d.name FROM profile.event e JOIN profile.profile p ON p.id = e.profile_id
    JOIN profile.domain_group d ON d.id = p.domain_group_id WHERE e.id LIKE 'co%'`);
  expect(rows).toEqual([{ name: 'Brand B' }]);
  // Ids of events are the workspace's: what one domain group has, another cannot take.
  const here = await importInto('c', { goal });
  expect(here.counts).toMatchObject({ created: 4, events: 0 });
  expect(here.notes).toContainEqual(expect.stringContaining('2 events'));
});

it('existing profiles only are those of the domain group', async () => {
  await put('d', { 'customers.csv': customers('d-', 'Ann') });
  await importInto('d', {});
  const guardrails = { existingProfilesOnly: true };
  const run = await importInto('d', { domainGroupId: brand, options: { guardrails } });
  expect(run.counts).toMatchObject({ created: 0, updated: 0, skipped: { unmatched: 4 } });
});

it('the id of a profile names nobody in another domain group', async () => {
  await put('e', { 'customers.csv': 'id,name\ne-1,Ann\n' });
  await importInto('e', {});
  const { rows } = await harness.database.query<{ id: string }>(
    sql`SELECT profile_id AS id FROM profile.identity WHERE value = 'e-1'`,
  );
  await put('e2', { 'customers.csv': `id,name\n${rows[0]!.id},Bea\n` });
  const matching = { identifiers: [{ column: 'id', namespace: '(profile-id)' }] };
  const there = await importInto('e2', { domainGroupId: brand, matching });
  expect(there.counts).toMatchObject({ updated: 0, skipped: { unmatched: 1 } });
  expect((await importInto('e2', { matching })).counts).toMatchObject({ updated: 1 });
});

it('a dry run tells what would come of the file in its domain group', async () => {
  await put('f', { 'customers.csv': customers('f-', 'Ann') });
  await importInto('f', {});
  await put('f', { 'customers.csv': customers('f-', 'Bea') });
  const dry = { dryRun: true };
  expect((await importInto('f', { options: dry })).counts).toMatchObject({ updated: 4, created: 0 });
  expect((await importInto('f', { domainGroupId: brand, options: dry })).counts).toMatchObject({
    updated: 0,
    created: 4,
  });
  expect(await profiles('f-1')).toEqual(['default: f-1: Ann']);
});

it('the delete flag and older files concern the people of the domain group alone', async () => {
  await put('g', { 'customers.csv': customers('g-', 'Ann') });
  await importInto('g', {});
  await importInto('g', { domainGroupId: brand });
  await put('g2', { 'customers.csv': 'id,name,gone\ng-1,,yes\n' });
  const erased = await importInto('g2', { domainGroupId: brand, goal: { deleteFlag: { column: 'gone' } } });
  expect(erased.counts).toMatchObject({ erased: 1 });
  expect(await profiles('g-1')).toEqual(['default: g-1: Ann']);
  await harness.database.transaction((tx) =>
    eraseProfiles(
      tx,
      harness.workspaceId,
      sql`SELECT i.profile_id FROM profile.identity i JOIN profile.domain_group d ON d.id = i.domain_group_id
        WHERE d.is_default AND i.value = 'g-2'`,
    ),
  );
  await harness.database.query(sql`UPDATE profile.tombstone SET erased_at = now() + interval '1 day'`);
  const goal = { mappings: [{ column: 'name', property: 'name', rule: 'set-if-empty' }] };
  const here = await importInto('g', { goal });
  expect(here.counts).toMatchObject({ unchanged: 3, created: 0, skipped: { erased: 1 } });
  const there = await importInto('g', { domainGroupId: brand, goal });
  expect(there.counts).toMatchObject({ unchanged: 3, created: 0, skipped: { erased: 1 } });
  expect(await profiles('g-')).toEqual([
    ...[1, 3, 4].map((id) => `default: g-${id}: Ann`),
    ...[2, 3, 4].map((id) => `Brand B: g-${id}: Ann`),
  ]);
});

it('a goal whose domain group is gone fails and says so', async () => {
  const { id } = await createDomainGroup(harness.database, harness.workspaceId, { name: 'gone' });
  await harness.database.transaction((tx) => deleteDomainGroup(tx, harness.workspaceId, id));
  await put('h', { 'customers.csv': customers('h-', 'Ann') });
  const run = await importInto('h', { domainGroupId: id });
  expect(run).toMatchObject({ outcome: 'failed', error: { code: 'domain-group-not-found' } });
});

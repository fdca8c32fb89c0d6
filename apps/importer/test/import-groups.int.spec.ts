import { sql } from '@millrace/database';
import { importGroupsGoal, type ImportGroupsGoal } from '@millrace/domain';
import {
  addGroupProperty,
  buildSegments,
  createGroupType,
  createSegment,
  ingestBatch,
  loadCatalogue,
  putGroup,
} from '@millrace/profile-store';
import { FixRows } from '../src/fix-rows/fix-rows.js';
import { rejectFile } from '../src/fix-rows/reject-file.js';
import { rehearsedFiles } from '../src/storage/rehearsals.js';
import { ImportHarness, outcomes, silentEvents } from './import-harness.js';

let harness: ImportHarness;

beforeEach(async () => {
  harness = await ImportHarness.create('groups', [{ name: 'city' }]);
  await createGroupType(harness.database, harness.workspaceId, {
    code: 'company',
    properties: [
      { name: 'name', type: 'string', list: false },
      { name: 'industry', type: 'string', list: false },
      { name: 'revenue', type: 'decimal', list: false },
      { name: 'tags', type: 'string', list: true },
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
    mappings: [
      { column: 'name', property: 'name' },
      { column: 'revenue', property: 'revenue', rule: 'sum' },
    ],
    ...changes,
  });

async function groups(): Promise<Readonly<Record<string, Record<string, unknown>>>> {
  const { rows } = await harness.database.query<{ key: string; properties: string }>(
    sql`SELECT key, properties FROM profile.group ORDER BY key`,
  );
  return Object.fromEntries(
    rows.map(({ key, properties }) => [key, JSON.parse(properties) as Record<string, unknown>]),
  );
}

/** Keys of the groups each customer is in. */
async function links(): Promise<Readonly<Record<string, string[]>>> {
  const { rows } = await harness.database.query<{ id: string; keys: string[] }>(sql`
    SELECT i.value AS id, array_agg(g.key ORDER BY g.key) AS keys FROM profile.group_member gm
    JOIN profile.group g ON g.id = gm.group_id JOIN profile.identity i ON i.profile_id = gm.profile_id GROUP BY 1 ORDER BY 1`);
  return Object.fromEntries(rows.map(({ id, keys }) => [id, keys]));
}

describe('an import of groups', () => {
  it('makes groups by their key and folds the rows of one group in file order, by every rule', async () => {
    const rules = goal({
      mappings: [
        { column: 'name', property: 'name' },
        { column: 'industry', property: 'industry', rule: 'set-if-empty' },
        { column: 'revenue', property: 'revenue', rule: 'sum' },
        { column: 'tag', property: 'tags', rule: 'add' },
      ],
    });
    harness.startWorker();
    await harness.put(
      'companies.csv',
      'key,name,industry,revenue,tag\nacme,Acme,Tools,0.1,a\nbolt,Bolt,,5,x\nacme,ACME Inc,Other,0.2,b\n acme ,,,,a\n,No key,,1,\n',
    );
    const run = await harness.run(rules);
    expect(run).toMatchObject({
      outcome: 'succeeded',
      counts: { rowsRead: 5, created: 4, rejected: 1, groupsCreated: 2, profilesCreated: 0 },
    });
    expect(outcomes(run.counts)).toBe(5);
    expect(await groups()).toEqual({
      acme: { name: 'ACME Inc', industry: 'Tools', revenue: 0.3, tags: ['a', 'b'] },
      bolt: { name: 'Bolt', revenue: 5, tags: ['x'] },
    });
    // The same file under the same configuration is known.
    expect((await harness.run(rules)).counts).toMatchObject({ files: 0, filesSkipped: 1, rowsRead: 0 });
    await harness.put(
      'companies-2.csv',
      'key,name,industry,revenue,tag\nacme,ACME Inc,,,\nbolt,Bolt,Screws,1.5,y\nnew,New,,,\n',
    );
    expect((await harness.run(rules)).counts).toMatchObject({
      files: 1,
      created: 1,
      updated: 1,
      unchanged: 1,
      groupsCreated: 1,
      groupsUpdated: 1,
      groupsUnchanged: 1,
    });
    expect((await groups())['bolt']).toEqual({ name: 'Bolt', industry: 'Screws', revenue: 6.5, tags: ['x', 'y'] });
  });

  it('clears under "set or clear", drops rows a processor filters, maps every other column and leaves unknown groups alone', async () => {
    harness.startWorker();
    await harness.put('companies.csv', 'key,name,industry\nacme,Acme,Tools\nbolt,Bolt,Screws\n');
    await harness.run(goal({ mappings: [], mapAll: {} }));
    await harness.put('companies-2.csv', 'key,name,industry\nacme,,Tools\nbolt,drop me,x\nghost,Ghost,x\n');
    const run = await harness.run(
      goal({
        matching: { column: 'key', allowCreation: false },
        mappings: [{ column: 'name', property: 'name', rule: 'set-or-clear' }],
        processors: [{ kind: 'filter', column: 'name', test: { op: 'equals', value: 'drop me' }, action: 'drop' }],
        source: { bucket: harness.bucket, directory: 'in', pattern: { kind: 'exact', name: 'companies-2.csv' } },
        afterImport: 'done-suffix',
      }),
    );
    expect(run).toMatchObject({
      outcome: 'succeeded',
      counts: { rowsRead: 3, updated: 1, created: 0, skipped: { unmatched: 1, filtered: 1 }, groupsUpdated: 1 },
    });
    expect(await groups()).toEqual({ acme: { industry: 'Tools' }, bolt: { name: 'Bolt', industry: 'Screws' } });
    expect((await harness.client.list(harness.bucket, 'in/')).map(({ key }) => key)).toContain(
      'in/companies-2.csv.done',
    );
  });

  it('counts in a dry run what it would do and does nothing', async () => {
    harness.startWorker();
    await harness.put('companies.csv', 'key,name,revenue\nacme,Acme,1\n');
    await harness.run(goal());
    await harness.put('companies-2.csv', 'key,name,revenue\nacme,Acme,2\nbolt,Bolt,3\n');
    const run = await harness.run(goal(), { dryRun: true });
    expect(run.counts).toMatchObject({ created: 1, updated: 1, groupsCreated: 1, groupsUpdated: 1 });
    const samples = (await rehearsedFiles(harness.database, run.runId)).flatMap((file) => file.samples);
    expect(samples).toMatchObject([
      { outcome: 'created', line: 3, after: { name: 'Bolt', revenue: 3 } },
      { outcome: 'updated', line: 2, before: { revenue: 1 }, after: { revenue: 3 } },
    ]);
    expect(await groups()).toEqual({ acme: { name: 'Acme', revenue: 1 } });
  });

  it('takes the corrected rows of its reject file once', async () => {
    harness.startWorker();
    await harness.put('companies.csv', 'key,name,revenue\nacme,Acme,1\nacme,Acme,some\nbolt,Bolt,more\n');
    const run = await harness.run(goal({ rejectLimit: {} }));
    expect(run.counts).toMatchObject({ rowsRead: 3, created: 1, rejected: 2 });
    let file = '';
    for await (const part of rejectFile(harness.database, run.runId)) file += part;
    const fixer = new FixRows({ database: harness.database, wakeUps: harness.wakeUps, sealingKey: harness.sealingKey });
    const corrected = file.replaceAll('some', '2').replaceAll('more', '3');
    expect(await fixer.fix(run.runId, corrected)).toMatchObject({ created: 1, updated: 1, stillRejected: 0 });
    expect(await fixer.fix(run.runId, corrected)).toMatchObject({ created: 0, updated: 0, refused: 2 });
    expect(await groups()).toEqual({ acme: { name: 'Acme', revenue: 3 }, bolt: { name: 'Bolt', revenue: 3 } });
    const recounted = (await harness.runEvents(run.runId)).find((event) => event.kind === 'goal-recounted');
    expect(recounted?.counts).toMatchObject({
      created: 2,
      updated: 1,
      rejected: 0,
      groupsCreated: 2,
      groupsUpdated: 1,
    });
  });

  it('fails where the group type is gone from the workspace, naming it', async () => {
    harness.startWorker();
    await harness.put('companies.csv', 'key\nacme\n');
    const run = await harness.run(goal({ groupType: 'household' }));
    expect(run.outcome).toBe('failed');
    expect(run.error).toMatchObject({ code: 'group-type-not-found' });
    expect(run.error?.message).toContain('"household"');
  });

  it('stops before anything is applied where too many rows are rejected', async () => {
    harness.startWorker();
    await harness.put('companies.csv', 'key,name,revenue\nacme,Acme,1\nbolt,Bolt,many\n');
    const run = await harness.run(goal({ rejectLimit: { rows: 0 } }));
    expect(run.error).toMatchObject({ code: 'too-many-rejects' });
    expect(await groups()).toEqual({});
  });

  it('adds each sum once where the worker dies after any chunk and staging is lost', async () => {
    const rows = Array.from({ length: 120 }, (_, number) => `g${number % 40},Group ${number % 40},0.1`);
    await harness.put('companies.csv', `key,name,revenue\n${rows.join('\n')}\n`);
    let died = 0;
    const events = {
      ...silentEvents,
      chunkApplied: (): void => {
        // Three workers die, each just after the commit of a chunk.
        if (died >= 3) return;
        died += 1;
        throw new Error('the worker dies here');
      },
    };
    await harness.holdRetries();
    harness.startWorker({ events, settings: { chunkLines: 7, lanes: 1 } });
    const runId = await harness.open(goal());
    await harness.resume(async () => {
      expect(await harness.loseStaging()).toBe(1);
    });
    const run = await harness.finished(runId);
    expect(died).toBe(3);
    expect(run).toMatchObject({
      outcome: 'succeeded',
      counts: { rowsRead: 120, created: 120, groupsCreated: 40, groupsUpdated: 0, groupsUnchanged: 0 },
    });
    expect(outcomes(run.counts)).toBe(120);
    expect(Object.values(await groups()).map(({ revenue }) => revenue)).toEqual(Array.from({ length: 40 }, () => 0.3));
    expect(await harness.tables()).toEqual([]);
  });

  it('takes a group that somebody else made since the plan was frozen for what it is', async () => {
    await harness.put('companies.csv', 'key,name,revenue\nacme,Acme,1\nbolt,Bolt,1\n');
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
    const runId = await harness.open(goal());
    await harness.resume(async () => {
      const catalogue = await loadCatalogue(harness.database, harness.workspaceId);
      await harness.database.transaction((tx) =>
        putGroup(tx, catalogue, { type: 'company', key: 'bolt', properties: '{"revenue": 5}', members: [] }),
      );
    });
    const run = await harness.finished(runId);
    expect(run.counts).toMatchObject({ created: 1, updated: 1 });
    expect(outcomes(run.counts)).toBe(2);
    expect((await groups())['bolt']).toEqual({ name: 'Bolt', revenue: 6 });
  });
});

describe('members of an imported group', () => {
  const big = async (): Promise<string> => {
    const segment = await createSegment(harness.database, harness.workspaceId, {
      name: 'big',
      rule: { kind: 'group', type: 'company', property: 'revenue', op: 'greater', value: 10 },
    });
    while (await buildSegments(harness.database));
    return segment.id;
  };
  const realized = async (segmentId: string): Promise<readonly string[]> => {
    const { rows } = await harness.database.query<{ value: string }>(sql`
      SELECT i.value FROM profile.membership m JOIN profile.identity i ON i.profile_id = m.profile_id
      WHERE m.segment_id = ${segmentId}::uuid AND m.status = 'realized' ORDER BY 1`);
    return rows.map(({ value }) => value);
  };

  it('enter and leave segments in the transaction that changes the group', async () => {
    const segmentId = await big();
    harness.startWorker();
    await harness.put('customers.csv', 'id,company\nc1,acme\nc2,bolt\nc3,\n');
    const linked = await harness.run(harness.goal({ groupLinks: [{ column: 'company', type: 'company' }] }));
    expect(linked.counts).toMatchObject({ created: 3, groupsLinked: 2, groupsUnknown: 0 });
    expect(await realized(segmentId)).toEqual([]);
    await harness.put('companies.csv', 'key,name,revenue\nacme,Acme,20\nbolt,Bolt,5\n');
    expect((await harness.run(goal())).counts).toMatchObject({ updated: 2, groupsUpdated: 2 });
    expect(await realized(segmentId)).toEqual(['c1']);
    await harness.put('companies-2.csv', 'key,name,revenue\nacme,Acme,-15\nbolt,Bolt,15\n');
    await harness.run(goal());
    expect(await realized(segmentId)).toEqual(['c2']);
  });
});

describe('a goal that links profiles to groups', () => {
  it('adds members, several to a row, makes missing groups only where asked, and counts what it does', async () => {
    harness.startWorker();
    const link = (changes: object = {}) =>
      harness.goal({ groupLinks: [{ column: 'company', type: 'company', ...changes }] });
    await harness.put('customers.csv', 'id,company\nc1,acme; bolt\nc2,acme\nc1,coil\nc3,\n');
    expect((await harness.run(link())).counts).toMatchObject({ rowsRead: 4, created: 4, groupsLinked: 4 });
    expect(await links()).toEqual({ c1: ['acme', 'bolt', 'coil'], c2: ['acme'] });
    await harness.put('customers-2.csv', 'id,company\nc1,acme\nc2,nowhere\nc3,bolt\n');
    const run = await harness.run({
      ...link({ createGroups: false }),
      source: { ...link().source, pattern: { kind: 'exact', name: 'customers-2.csv' } },
    });
    expect(run.counts).toMatchObject({ updated: 1, unchanged: 2, groupsLinked: 1, groupsUnknown: 1 });
    expect(await links()).toEqual({ c1: ['acme', 'bolt', 'coil'], c2: ['acme'], c3: ['bolt'] });
  });

  it('moves a profile to another group of the type where the link replaces, and stamps it', async () => {
    harness.startWorker();
    const move = harness.goal({ groupLinks: [{ column: 'company', type: 'company', replace: true }] });
    await harness.put('customers.csv', 'id,company\nc1,acme\nc2,acme\n');
    await harness.run(move);
    const stamp = async (id: string): Promise<{ version: string; xid: string }> =>
      (
        await harness.database.query<{ version: string; xid: string }>(sql`
          SELECT version::text, changed_xid::text AS xid FROM profile.profile p JOIN profile.identity i ON i.profile_id = p.id WHERE i.value = ${id}`)
      ).rows[0]!;
    const before = { c1: await stamp('c1'), c2: await stamp('c2') };
    await harness.put('customers-2.csv', 'id,company\nc1,coil\nc1,bolt\nc2,\n');
    expect((await harness.run(move)).counts).toMatchObject({ updated: 2, unchanged: 1, groupsLinked: 1 });
    expect(await links()).toEqual({ c1: ['bolt'], c2: ['acme'] });
    expect((await stamp('c1')).xid).not.toBe(before.c1.xid);
    expect(BigInt((await stamp('c1')).version)).toBeGreaterThan(BigInt(before.c1.version));
    expect(await stamp('c2')).toEqual(before.c2);
  });

  it('links nobody it erases or withholds, and leaves no group that was made for them alone', async () => {
    harness.startWorker();
    const link = (changes: object) =>
      harness.goal({ groupLinks: [{ column: 'company', type: 'company' }], ...changes });
    await harness.put('customers.csv', 'id,company,gone\nc1,acme,no\nc2,acme,no\nc3,bolt,no\n');
    await harness.run(link({ deleteFlag: { column: 'gone' } }));
    await harness.put('customers-2.csv', 'id,company,gone\nc1,coil,yes\nc2,acme,no\nc3,bolt,yes\nc4,dyno,yes\n');
    const erased = await harness.run(link({ deleteFlag: { column: 'gone' } }));
    expect(erased.counts).toMatchObject({ rowsRead: 4, erased: 2, unchanged: 1, groupsLinked: 0 });
    expect(await links()).toEqual({ c2: ['acme'] });
    expect(Object.keys(await groups())).toEqual(['acme', 'bolt']);

    await harness.client.put(harness.bucket, 'consent/c.csv', 'id,company,news\nc5,evil,no\nc6,echo,yes\nc7,evil,\n');
    const withheld = await harness.run(
      link({
        consent: [{ column: 'news', objective: 'news' }],
        source: { bucket: harness.bucket, directory: 'consent', pattern: { kind: 'every' } },
      }),
      { consentObjectives: ['news'] },
    );
    expect(withheld.counts).toMatchObject({ created: 1, skipped: { consent: 2 }, groupsLinked: 1 });
    expect(await links()).toEqual({ c2: ['acme'], c6: ['echo'] });
    expect(Object.keys(await groups())).toEqual(['acme', 'bolt', 'echo']);
  });

  it('never waits in a circle with imports of the same groups and the API, and loses no change', async () => {
    const segmentId = (
      await createSegment(harness.database, harness.workspaceId, {
        name: 'rich',
        rule: { kind: 'group', type: 'company', property: 'revenue', op: 'greater-or-equal', value: 3 },
      })
    ).id;
    while (await buildSegments(harness.database));
    const keys = Array.from({ length: 12 }, (_, number) => `g${number}`);
    await harness.put(
      'companies.csv',
      `key,name,revenue\n${Array.from({ length: 3 }, () => keys.map((key) => `${key},N,1`).join('\n')).join('\n')}\n`,
    );
    await harness.put(
      'customers.csv',
      `id,company\n${Array.from({ length: 60 }, (_, number) => `c${number},${keys[number % keys.length]}`).join('\n')}\n`,
    );
    harness.startWorker({ runs: 2, settings: { chunkLines: 5, lanes: 2 } });
    const runs = [
      harness.run(goal()),
      harness.run(harness.goal({ groupLinks: [{ column: 'company', type: 'company' }] })),
    ];
    const catalogue = await loadCatalogue(harness.database, harness.workspaceId);
    const batches = Array.from({ length: 10 }, (_, round) =>
      harness.database.transaction((tx) =>
        ingestBatch(
          tx,
          catalogue,
          [...keys].reverse().map((key, index) => ({
            identities: [{ namespace: 'customerId', value: `c${(round * 7 + index) % 60}` }],
            groups: [{ type: 'company', key }],
          })),
          { allowCreation: true },
        ),
      ),
    );
    for (const batch of await Promise.all(batches))
      expect(batch.filter(({ outcome }) => outcome === 'rejected')).toEqual([]);
    for (const run of await Promise.all(runs)) expect(run.outcome).toBe('succeeded');
    expect(Object.values(await groups()).map(({ revenue }) => revenue)).toEqual(keys.map(() => 3));
    // Everybody in a group is in the segment: whoever came last has seen what the other one wrote.
    const { rows } = await harness.database.query<{ missing: number; linked: number }>(sql`
      SELECT count(*)::int AS linked, (count(*) FILTER (WHERE NOT EXISTS (
        SELECT FROM profile.membership m WHERE m.profile_id = p.profile_id AND m.segment_id = ${segmentId}::uuid AND m.status = 'realized')))::int AS missing
      FROM (SELECT DISTINCT profile_id FROM profile.group_member) p`);
    expect(rows).toEqual([{ linked: 60, missing: 0 }]);
  });
});

it('declares further properties of a group type for goals to come', async () => {
  await addGroupProperty(harness.database, harness.workspaceId, 'company', {
    name: 'size',
    type: 'integer',
    list: false,
  });
  harness.startWorker();
  await harness.put('companies.csv', 'key,size\nacme,12\n');
  await harness.run(goal({ mappings: [{ column: 'size', property: 'size' }] }));
  expect(await groups()).toEqual({ acme: { size: 12 } });
});

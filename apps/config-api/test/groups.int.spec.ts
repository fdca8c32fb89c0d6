import { sql } from '@millrace/database';
import type { RunView } from '../src/run-connection/run-views.js';
import { waitFor } from '@millrace/testing';
import { exportGoal, importGoal, s3Connection, startApi, w, type Api } from './api-fixture.js';

let api: Api;
let goals: string;
let connection: string;
beforeAll(async () => {
  api = await startApi('groups');
  const { id } = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Bucket' }))).body;
  connection = `${w}/connections/${id}`;
  goals = `${connection}/goals`;
});
afterAll(() => api.close());

const groupGoal = (more: object = {}): object => ({
  kind: 'import-groups',
  name: 'Import companies',
  groupType: 'company',
  source: { bucket: 'acme-files', pattern: { kind: 'exact', name: 'companies.csv' } },
  matching: { column: 'key' },
  ...more,
});
const fields = (answer: { body: { errors?: { field: string; message: string }[] } }): string[] =>
  (answer.body.errors ?? []).map(({ field }) => field);

it('refuses to import groups while the workspace has no group type, and says what to do', async () => {
  const answer = await api.call('POST', goals, groupGoal());
  expect(answer.status).toBe(400);
  expect(answer.body.errors).toEqual([
    { field: 'groupType', message: 'the workspace has no group type yet: declare "company" first' },
  ]);
  const link = await api.call('POST', goals, importGoal({ groupLinks: [{ column: 'c', type: 'company' }] }));
  expect(fields(link)).toEqual(['groupLinks.0.type']);
});

describe('group types', () => {
  it('are declared with their properties, which are only added to', async () => {
    const company = { code: 'company', properties: [{ name: 'name', type: 'string', list: false }] };
    expect(
      (await api.call('POST', `${w}/group-types`, { code: 'company', properties: [{ name: 'name' }] })).body,
    ).toEqual(company);
    expect((await api.call('POST', `${w}/group-types`, company)).status).toBe(409);
    const revenue = { name: 'revenue', type: 'decimal', list: false };
    const added = await api.call('POST', `${w}/group-types/company/properties`, revenue);
    expect(added.body).toEqual({ code: 'company', properties: [...company.properties, revenue] });
    expect((await api.call('POST', `${w}/group-types/company/properties`, revenue)).status).toBe(409);
    expect((await api.call('POST', `${w}/group-types/none/properties`, revenue)).status).toBe(404);
    const clash = await api.call('POST', `${w}/group-types`, {
      code: 'x',
      properties: [{ name: 'a' }, { name: 'a.b' }],
    });
    expect(fields(clash)).toEqual(['properties.1.name']);
    expect((await api.call('GET', `${w}/group-types`)).body).toEqual({ items: [added.body] });
  });

  it('are written by a key with the scope to do so alone', async () => {
    const reader = await api.newKey(['config:read'], 'acme');
    expect((await api.call('GET', `${w}/group-types`, undefined, reader)).status).toBe(200);
    expect((await api.call('POST', `${w}/group-types`, { code: 'household' }, reader)).status).toBe(403);
  });
});

describe('a goal that imports groups', () => {
  it('is refused where it does not fit the group type, naming each field by its own name', async () => {
    const answer = await api.call(
      'POST',
      goals,
      groupGoal({
        csv: { header: false },
        matching: { column: 'key' },
        mappings: [
          { column: '2', property: 'nothing' },
          { column: '3', property: 'name', rule: 'sum' },
        ],
        processors: [{ kind: 'trim', file: 'orders', column: '1' }],
      }),
    );
    expect(answer.status).toBe(400);
    expect(fields(answer).sort()).toEqual([
      'mappings.0.property',
      'mappings.1.rule',
      'matching.column',
      'processors.0.file',
    ]);
    expect(answer.text).toContain('group type \\"company\\" has no property \\"nothing\\"');
    for (const unknown of ['linked', 'events', 'consent', 'groupLinks', 'erasedProfiles', 'occurredAtColumn'])
      expect((await api.call('POST', goals, groupGoal({ [unknown]: [] }))).status).toBeGreaterThanOrEqual(400);
  });

  it('may have a delete flag, whose column is checked like any other', async () => {
    const saved = await api.call('POST', goals, groupGoal({ name: 'with flag', deleteFlag: { column: 'gone' } }));
    expect(saved).toMatchObject({ status: 201, body: { deleteFlag: { column: 'gone' } } });
    const nameless = { csv: { header: false }, matching: { column: '1' }, deleteFlag: { column: 'gone' } };
    expect(fields(await api.call('PATCH', `${w}/goals/${saved.body.id}`, nameless))).toEqual(['deleteFlag.column']);
    expect((await api.call('DELETE', `${w}/goals/${saved.body.id}`)).status).toBe(204);
  });

  it('is refused on a connection kept to a unit by a property that the group type does not declare', async () => {
    const guardrails = { unit: { property: 'permissionLevel', value: 'north' } };
    const bucket = await api.call('POST', `${w}/connections`, s3Connection({ name: 'North', guardrails }));
    const refused = await api.call('POST', `${w}/connections/${bucket.body.id}/goals`, groupGoal());
    expect(fields(refused)).toEqual(['groupType']);
    expect(refused.text).toContain('declare it, or name a column of the file instead');
  });

  it('runs before profiles are imported and these before exports, inside each in the order of the user', async () => {
    const everyone = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule: { kind: 'all', rules: [] } }))
      .body.id;
    const add = async (goal: object): Promise<string> => (await api.call('POST', goals, goal)).body.id;
    const first = await add(exportGoal(everyone, { fileName: 'everyone' }));
    const profiles = await add(importGoal({ groupLinks: [{ column: 'company', type: 'company' }] }));
    const later = await add(groupGoal({ name: 'later' }));
    const sooner = await add(
      groupGoal({ name: 'sooner', mappings: [{ column: 'r', property: 'revenue', rule: 'sum' }] }),
    );
    await api.call('PUT', `${goals}/order`, { goalIds: [first, sooner, profiles, later] });
    const listed = (await api.call('GET', goals)).body.items.map(({ id }: { id: string }) => id);
    const expected = [...listed.filter((id: string) => [sooner, later].includes(id)), profiles, first];
    const run: RunView = (await api.call('POST', `${connection}/runs`)).body;
    expect(run.goals.map(({ goalId }) => goalId)).toEqual(expected);
    expect(run.goals.map(({ kind }) => kind)).toEqual([
      'import-groups',
      'import-groups',
      'import-profiles',
      'export-profiles',
    ]);
    const { rows } = await api.database.query<{ queue: string }>(
      sql`SELECT queue FROM work.unit WHERE run_id = ${run.id}`,
    );
    expect(rows).toEqual([{ queue: 'import-run' }]);
    await api.tell(run.id, run.goals[0]!.goalId, {
      kind: 'goal-finished',
      outcome: 'succeeded',
      counts: { rowsRead: 3, created: 3, groupsCreated: 2 },
    });
    const after: RunView = await waitFor(async () => {
      const shown = (await api.call('GET', `${w}/runs/${run.id}`)).body;
      return shown.goals[1].state === 'queued' ? shown : undefined;
    });
    expect(after.goals[0]!.counts).toMatchObject({ rowsRead: 3, groupsCreated: 2, groupsUpdated: 0 });
  });

  it('is part of a dry run, as every import is', async () => {
    const other = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Other bucket' }))).body.id;
    await api.call('POST', `${w}/connections/${other}/goals`, groupGoal());
    const dry = await api.call('POST', `${w}/connections/${other}/runs`, { dryRun: true });
    expect(dry.body.goals).toMatchObject([{ kind: 'import-groups', state: 'queued' }]);
  });
});

describe('profiles of the ingestion API', () => {
  it('become members of groups, whose change is in the look-up and in segments at once', async () => {
    const ingest = (batchId: string, groups: object[]) =>
      api.call('POST', `${w}/ingestion/batches`, {
        batchId,
        updates: [{ identities: [{ namespace: 'email', value: 'ada@example.org' }], groups }],
      });
    const first = await ingest('one', [
      { type: 'company', key: 'acme' },
      { type: 'company', key: 'bolt' },
    ]);
    expect(first.body.items).toMatchObject([{ outcome: 'created' }]);
    expect((await ingest('two', [{ type: 'company', key: 'acme' }])).body.items).toMatchObject([
      { outcome: 'unchanged' },
    ]);
    const wrong = (await ingest('three', [{ type: 'nothing', key: 'x' }])).body.items[0];
    expect(wrong).toMatchObject({ outcome: 'rejected' });
    expect(wrong.reason).toContain('groups.0.type');
    const rich = (
      await api.call('POST', `${w}/segments`, {
        name: 'Rich',
        rule: { kind: 'group', type: 'company', property: 'revenue', op: 'greater', value: 1000 },
      })
    ).body.id;
    await waitFor(async () => (await api.call('GET', `${w}/segments/${rich}`)).body.state === 'current');
    await api.call('PUT', `${w}/groups/company/acme`, { properties: { revenue: 5000 } });
    const wrongType = await api.call('PUT', `${w}/groups/company/acme`, { properties: { revenue: 'much' } });
    expect(wrongType.status).toBe(400);
    expect(wrongType.body.at).toBe('properties.revenue');
    expect((await api.call('GET', `${w}/groups/company/acme`)).body).toMatchObject({
      properties: { revenue: 5000 },
      members: 1,
    });
    expect((await api.call('GET', `${w}/groups/company/nowhere`)).status).toBe(404);
    const profile = (await api.call('GET', `${w}/profiles/${first.body.items[0].profileId}`)).body;
    expect(profile.groups).toEqual([
      { type: 'company', key: 'acme', properties: { revenue: 5000 } },
      { type: 'company', key: 'bolt', properties: {} },
    ]);
    expect(profile.segments).toMatchObject([{ name: 'Everyone' }, { name: 'Rich', status: 'realized' }]);
    expect((await ingest('four', [{ type: 'company', key: 'bolt', replace: true }])).body.items).toMatchObject([
      { outcome: 'updated' },
    ]);
    const moved = (await api.call('GET', `${w}/profiles/${first.body.items[0].profileId}`)).body;
    expect(moved.groups).toMatchObject([{ key: 'bolt' }]);
    expect(moved.segments).toMatchObject([{ name: 'Everyone' }, { name: 'Rich', status: 'exited' }]);
  });

  it('keep a property from being declared as what groups of the type do not hold', async () => {
    await api.call('PUT', `${w}/groups/company/odd`, { properties: { size: 'large', sites: ['Ulm'] } });
    const declare = (name: string, type: string, list = false) =>
      api.call('POST', `${w}/group-types/company/properties`, { name, type, list });
    const refused = await declare('size', 'integer');
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toContain('1 group holds another kind of value under "size"');
    expect((await declare('sites', 'string')).status).toBe(409);
    expect((await declare('sites', 'string', true)).status).toBe(200);
    expect((await declare('size', 'string')).status).toBe(200);
  });
});

describe('lifecycles', () => {
  const segment = async (name: string): Promise<string> =>
    (await api.call('POST', `${w}/segments`, { name, rule: { kind: 'all', rules: [] } })).body.id;

  it('are made of segments, replaced and deleted, and hold what they use', async () => {
    const [fresh, lapsed] = [await segment('Fresh'), await segment('Lapsed')];
    const stages = [
      { name: 'new', segmentId: fresh },
      { name: 'lapsed', segmentId: lapsed },
    ];
    const made = await api.call('POST', `${w}/lifecycles`, { name: 'Customer', stages });
    expect(made.body).toMatchObject({ name: 'Customer', stages });
    expect((await api.call('POST', `${w}/lifecycles`, { name: 'Customer', stages })).status).toBe(409);
    const twice = await api.call('POST', `${w}/lifecycles`, { name: 'Other', stages: [stages[0], stages[0]] });
    expect(twice.status).toBe(400);
    expect((await api.call('DELETE', `${w}/segments/${lapsed}`)).status).toBe(409);
    const goal = (
      await api.call(
        'POST',
        goals,
        exportGoal(fresh, {
          name: 'With stage',
          fileName: 'stages',
          columns: [{ header: 'stage', source: { kind: 'lifecycle', lifecycleId: made.body.id } }],
        }),
      )
    ).body;
    expect((await api.call('DELETE', `${w}/lifecycles/${made.body.id}`)).status).toBe(409);
    await api.call('DELETE', `${w}/goals/${goal.id}`);
    const renamed = await api.call('PUT', `${w}/lifecycles/${made.body.id}`, { name: 'Journey', stages: [stages[0]] });
    expect(renamed.body.name).toBe('Journey');
    expect((await api.call('DELETE', `${w}/segments/${lapsed}`)).status).toBe(204);
    expect((await api.call('DELETE', `${w}/lifecycles/${made.body.id}`)).status).toBe(204);
    expect((await api.call('GET', `${w}/lifecycles`)).body).toEqual({ items: [] });
    expect((await api.call('DELETE', `${w}/lifecycles/${made.body.id}`)).status).toBe(404);
  });
});

it('checks what export columns read', async () => {
  const { id } = (await api.call('GET', `${w}/segments`)).body.items[0];
  const answer = await api.call(
    'POST',
    goals,
    exportGoal(id, {
      columns: [
        { header: 'a', source: { kind: 'group', type: 'none' } },
        { header: 'b', source: { kind: 'lifecycle', lifecycleId: '019ac000-0000-7000-8000-000000000000' } },
        { header: 'c', source: { kind: 'viewed-interactions', eventTypes: ['order'] } },
        { header: 'd', source: { kind: 'permission-level' } },
        { header: 'e', source: { kind: 'group', type: 'company', property: 'revenue' } },
      ],
    }),
  );
  expect(fields(answer).filter((field) => field.startsWith('columns'))).toEqual([
    'columns.0.source.type',
    'columns.1.source.lifecycleId',
    'columns.2.source.eventTypes.0',
  ]);
  const type = { code: 'page', properties: [{ name: 'title' }], interaction: 'tittle' };
  expect(fields(await api.call('POST', `${w}/event-types`, type))).toEqual(['interaction']);
  expect((await api.call('POST', `${w}/event-types`, { ...type, interaction: 'title' })).body).toMatchObject({
    interaction: 'title',
  });
});

describe('permissionLevel', () => {
  it('is there from the start, written by a batch and used by segments', async () => {
    const listed = (await api.call('GET', `${w}/properties`)).body.items.map(({ name }: { name: string }) => name);
    expect(listed).toContain('permissionLevel');
    const segment = (
      await api.call('POST', `${w}/segments`, {
        name: 'May call',
        rule: { kind: 'property', property: 'permissionLevel', op: 'equals', value: 'call' },
      })
    ).body.id;
    await waitFor(async () => (await api.call('GET', `${w}/segments/${segment}`)).body.state === 'current');
    const item = {
      identities: [{ namespace: 'email', value: 'may@example.org' }],
      properties: [{ property: 'permissionLevel', value: 'call' }],
    };
    await api.call('POST', `${w}/ingestion/batches`, { batchId: 'level', updates: [item] });
    expect((await api.call('GET', `${w}/segments/${segment}`)).body.members).toBe(1);
  });
});

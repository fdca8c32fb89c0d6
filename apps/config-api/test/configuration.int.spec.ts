import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { sql } from '@millrace/database';
import { lockDefinitions } from '@millrace/profile-store';
import { waitFor } from '@millrace/testing';
import { exportGoal, importGoal, kinesisConnection, s3Connection, startApi, w, type Api } from './api-fixture.js';

let api: Api;
let everyone: string;
beforeAll(async () => {
  api = await startApi('configuration');
  everyone = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule: { kind: 'all', rules: [] } })).body.id;
});
afterAll(() => api.close());

const names = (answer: { body: { items: { name: string }[] } }): string[] => answer.body.items.map(({ name }) => name);

describe('workspaces', () => {
  it('start with namespaces and the event type order', async () => {
    await api.call('POST', '/workspaces', { name: 'fresh', title: 'Fresh' });
    const namespaces = await api.call('GET', '/workspaces/fresh/namespaces');
    expect(namespaces.body.items.map(({ code }: { code: string }) => code)).toEqual(['customerId', 'email', 'phone']);
    const types = await api.call('GET', '/workspaces/fresh/event-types');
    expect(types.body.items.map(({ code }: { code: string }) => code)).toEqual(['order']);
  });

  it('refuse a taken name with 409 and a bad one with 400', async () => {
    expect((await api.call('POST', '/workspaces', { name: 'acme' })).status).toBe(409);
    const bad = await api.call('POST', '/workspaces', { name: 'Not A Name' });
    expect(bad.status).toBe(400);
    expect(bad.body.errors).toEqual([{ field: 'name', message: expect.stringContaining('lower-case') }]);
  });
});

describe('the schema', () => {
  it('takes properties, namespaces and event types', async () => {
    const property = { name: 'person.name', type: 'string', list: false, unique: false, labels: ['I1'] };
    expect((await api.call('POST', `${w}/properties`, property)).body).toEqual(property);
    expect((await api.call('POST', `${w}/properties`, { name: 'person.name.first' })).body.errors ?? 'none').toBe(
      'none',
    );
    const clash = await api.call('POST', `${w}/properties`, { name: 'person' });
    expect(clash).toMatchObject({ status: 400, body: { code: 'property-prefix', at: 'name' } });
    expect(
      (await api.call('POST', `${w}/namespaces`, { code: 'loyalty', kind: 'custom' })).body.normalisation.case,
    ).toBe('keep');
    const visit = { code: 'visit', properties: [{ name: 'page' }] };
    expect((await api.call('POST', `${w}/event-types`, visit)).status).toBe(201);
    expect((await api.call('POST', `${w}/event-types`, visit)).status).toBe(409);
    const twice = await api.call('POST', `${w}/event-types`, { code: 'v', properties: [{ name: 'a' }, { name: 'a' }] });
    expect(twice.body.errors).toEqual([{ field: 'properties.1.name', message: 'stands here twice' }]);
  });
});

describe('segments', () => {
  it('are built in the background and say so', async () => {
    const made = await api.call('POST', `${w}/segments`, { name: 'Nobody', rule: { kind: 'any', rules: [] } });
    expect(made.body).toMatchObject({ name: 'Nobody', version: 1, members: 0 });
    await waitFor(async () => (await api.call('GET', `${w}/segments/${made.body.id}`)).body.state === 'current');
    const changed = await api.call('PUT', `${w}/segments/${made.body.id}`, {
      name: 'All',
      rule: { kind: 'all', rules: [] },
    });
    expect(changed.body).toMatchObject({ name: 'All', version: 2 });
    expect((await api.call('DELETE', `${w}/segments/${made.body.id}`)).status).toBe(204);
    expect((await api.call('GET', `${w}/segments/${made.body.id}`)).status).toBe(404);
  });

  it('refuse rules about what the workspace lacks', async () => {
    const rule = { kind: 'property', property: 'nose', op: 'exists' };
    const answer = await api.call('POST', `${w}/segments`, { name: 'X', rule });
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringContaining('"nose"') } });
    const broken = await api.call('POST', `${w}/segments`, {
      name: 'X',
      rule: { kind: 'all', rules: [{ kind: 'group', type: 'g', op: 'hm' }] },
    });
    expect(broken.body.errors.map(({ field }: { field: string }) => field)).toEqual(['rule.rules.0.op']);
  });

  it('stay while a goal uses them', async () => {
    const { id } = (await api.call('POST', `${w}/segments`, { name: 'Used', rule: { kind: 'all', rules: [] } })).body;
    const connection = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'For segments' }))).body.id;
    await api.call('POST', `${w}/connections/${connection}/goals`, exportGoal(id));
    expect(await api.call('DELETE', `${w}/segments/${id}`)).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('"Export everyone"') },
    });
  });

  it('are never deleted from under a goal that is being saved, nor used by one saved behind the deletion', async () => {
    const made = async (name: string): Promise<string> =>
      (await api.call('POST', `${w}/segments`, { name, rule: { kind: 'all', rules: [] } })).body.id;
    const [kept, gone] = [await made('Kept'), await made('Gone')];
    const goals = `${w}/connections/${(await api.call('POST', `${w}/connections`, s3Connection({ name: 'Racing' }))).body.id}/goals`;
    const waiting = async (): Promise<boolean> =>
      (await api.database.query(sql`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).rowCount > 0;
    const workspaceId = (
      await api.database.query<{ id: number }>(sql`SELECT id FROM profile.workspace WHERE name = 'acme'`)
    ).rows[0]!.id;

    let deletion: ReturnType<Api['call']> | undefined;
    await api.database.transaction(async (tx) => {
      await lockDefinitions(tx, workspaceId, 'shared');
      await tx.query(sql`
        INSERT INTO config.goal (workspace_id, connection_id, kind, name, active, position, document)
        SELECT ${workspaceId}, id, 'export-profiles', 'In the making', true, 1, ${JSON.stringify(exportGoal(kept))}::jsonb
        FROM config.connection WHERE name = 'Racing'`);
      deletion = api.call('DELETE', `${w}/segments/${kept}`);
      await waitFor(waiting, 30_000);
    });
    expect(await deletion).toMatchObject({ status: 409, body: { detail: expect.stringContaining('"In the making"') } });

    let saving: Promise<Awaited<ReturnType<typeof api.call>>> | undefined;
    await api.database.transaction(async (tx) => {
      await lockDefinitions(tx, workspaceId, 'exclusive');
      saving = api.call('POST', goals, exportGoal(gone));
      await waitFor(waiting, 30_000);
      for (const table of ['segment_version', 'segment'])
        await tx.query(
          sql`DELETE FROM ${sql.id('profile', table)} WHERE ${sql.id(table === 'segment' ? 'id' : 'segment_id')} = ${gone}::uuid`,
        );
    });
    const field = { field: 'segmentId', message: expect.any(String) };
    expect(await saving).toMatchObject({ status: 400, body: { errors: expect.arrayContaining([field]) } });
  });
});

describe('connections', () => {
  it('are listed, shown, changed and deleted', async () => {
    const { id } = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'A' }))).body;
    expect(names(await api.call('GET', `${w}/connections`))).toContain('A');
    const changed = await api.call('PATCH', `${w}/connections/${id}`, { name: 'B', region: 'eu-west-1' });
    expect(changed.body.consentObjectives).toEqual([]);
    const linked = await api.call('PATCH', `${w}/connections/${id}`, { consentObjectives: ['news', 'news'] });
    expect(linked.body.errors).toEqual([{ field: 'consentObjectives', message: 'each objective may stand here once' }]);
    expect(changed.body).toMatchObject({ id, name: 'B', region: 'eu-west-1', active: true, description: '' });
    expect((await api.call('GET', `${w}/connections/${id}`)).body).toEqual(changed.body);
    expect((await api.call('DELETE', `${w}/connections/${id}`)).status).toBe(204);
    for (const method of ['GET', 'DELETE']) expect((await api.call(method, `${w}/connections/${id}`)).status).toBe(404);
  });

  it('have names of their own', async () => {
    await api.call('POST', `${w}/connections`, s3Connection({ name: 'Twin' }));
    expect(await api.call('POST', `${w}/connections`, s3Connection({ name: 'Twin' }))).toMatchObject({
      status: 409,
      body: { code: 'connection-conflict', at: 'name' },
    });
  });

  it('stay inside their workspace', async () => {
    const { id } = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Mine' }))).body;
    await api.call('POST', '/workspaces', { name: 'neighbour' });
    expect((await api.call('GET', `/workspaces/neighbour/connections/${id}`)).status).toBe(404);
    expect((await api.call('DELETE', `/workspaces/neighbour/connections/${id}`)).status).toBe(404);
    expect((await api.call('POST', `/workspaces/neighbour/connections/${id}/goals`, importGoal())).status).toBe(404);
    expect((await api.call('POST', `/workspaces/neighbour/connections/${id}/runs`)).status).toBe(404);
  });

  it('name every field that is wrong', async () => {
    const answer = await api.call('POST', `${w}/connections`, {
      kind: 's3',
      name: '',
      endpoint: 'ftp://x',
      credentials: { kind: 'access-key' },
    });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ field }: { field: string }) => field).sort()).toEqual([
      'credentials.accessKeyId',
      'credentials.secretAccessKey',
      'endpoint',
      'name',
    ]);
  });

  it('are tried out on what their goals use', async () => {
    mkdirSync(path.join(api.bucketRoot, 'acme-files'), { recursive: true });
    const { id } = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Tried' }))).body;
    await api.call('POST', `${w}/connections/${id}/goals`, importGoal());
    const found = await api.call('POST', `${w}/connections/${id}/test`);
    expect(found.body).toMatchObject({ ok: true, checks: [{ target: 'acme-files', needs: 'import', ok: true }] });
    const missing = await api.call('POST', `${w}/connections/${id}/test`, {
      target: 'no-such-bucket',
      needs: 'export',
    });
    expect(missing.status).toBe(200);
    expect(missing.body).toMatchObject({
      ok: false,
      checks: [{ target: 'no-such-bucket', needs: 'export', ok: false }],
    });
  });

  it('of streams are tried out without sending anything', async () => {
    const { id } = (await api.call('POST', `${w}/connections`, kinesisConnection({ name: 'Tried stream' }))).body;
    const tryOut = async (target: string) => (await api.call('POST', `${w}/connections/${id}/test`, { target })).body;
    expect(await tryOut('s')).toMatchObject({ ok: true, checks: [{ target: 's', needs: 'stream', shards: 1 }] });
    expect(await tryOut('t')).toMatchObject({
      ok: false,
      checks: [{ target: 't', error: { code: 'stream-not-found' } }],
    });
  });
});

it('a connection holds its imports to existing profiles and one unit, also in the snapshot of a run', async () => {
  const guardrails = { existingProfilesOnly: true, unit: { column: 'org', value: 'north' } };
  const connection = s3Connection({ name: 'Guarded', guardrails });
  const { id } = (await api.call('POST', `${w}/connections`, connection)).body;
  const unit = { column: 'org', property: 'org', value: 'north' };
  const both = await api.call('PATCH', `${w}/connections/${id}`, { guardrails: { unit } });
  expect(both.body.errors).toEqual([{ field: 'guardrails.unit', message: 'names either a column or a property' }]);
  const goal = (await api.call('POST', `${w}/connections/${id}/goals`, importGoal())).body.id;
  await api.call('POST', `${w}/connections/${id}/runs`);
  const { rows } = await api.database.query<{ document: string }>(
    sql`SELECT document FROM work.goal_snapshot WHERE goal_id = ${goal}`,
  );
  expect(JSON.parse(rows[0]!.document)).toMatchObject({ guardrails });
});

describe('goals', () => {
  it('are listed in order, changed, reordered and deleted', async () => {
    const connection = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Goals' }))).body.id;
    const goals = `${w}/connections/${connection}/goals`;
    const first = (await api.call('POST', goals, importGoal())).body;
    const second = (await api.call('POST', goals, exportGoal(everyone))).body;
    expect(first).toMatchObject({ position: 1, connectionId: connection, active: true, badValue: 'reject-row' });
    expect(
      (await api.call('PUT', `${goals}/order`, { goalIds: [second.id, first.id] })).body.items.map(
        ({ id }: { id: string }) => id,
      ),
    ).toEqual([second.id, first.id]);
    expect(await api.call('PUT', `${goals}/order`, { goalIds: [second.id] })).toMatchObject({
      status: 400,
      body: { at: 'goalIds' },
    });
    const changed = await api.call('PATCH', `${w}/goals/${first.id}`, {
      name: 'Renamed',
      csv: { quote: null, delimiter: ';' },
    });
    expect(changed.body).toMatchObject({
      name: 'Renamed',
      csv: { quote: null, delimiter: ';', header: true },
      badValue: 'reject-row',
    });
    expect((await api.call('GET', `${w}/goals/${first.id}`)).body).toEqual(changed.body);
    expect((await api.call('DELETE', `${w}/goals/${first.id}`)).status).toBe(204);
    expect(names(await api.call('GET', goals))).toEqual(['Export everyone']);
    expect((await api.call('GET', `${w}/goals/${first.id}`)).status).toBe(404);
  });

  it('are checked against the workspace, on creation and on change', async () => {
    const connection = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Checked' }))).body.id;
    const bad = await api.call(
      'POST',
      `${w}/connections/${connection}/goals`,
      importGoal({
        mappings: [
          { column: 'a', property: 'nose' },
          { column: 'b', property: 'nose' },
        ],
      }),
    );
    expect(bad.status).toBe(400);
    expect(bad.body.errors.map(({ field }: { field: string }) => field)).toEqual([
      'mappings.0.property',
      'mappings.1.property',
      'mappings.1.property',
    ]);
    const { id } = (await api.call('POST', `${w}/connections/${connection}/goals`, importGoal())).body;
    const changes = [
      { kind: 'stream' },
      { mappings: [{ column: 'a', property: 'nose' }] },
      { source: 1 },
      { colour: 'red' },
    ];
    for (const change of changes) expect((await api.call('PATCH', `${w}/goals/${id}`, change)).status).toBe(400);
    expect((await api.call('GET', `${w}/goals/${id}`)).body.mappings).toEqual([]);
  });

  it('tell when they are saved that a target exists already, and who else writes it', async () => {
    await api.call('POST', `${w}/properties`, { name: 'shared' });
    const goalsOf = async (name: string): Promise<string> =>
      `${w}/connections/${(await api.call('POST', `${w}/connections`, s3Connection({ name }))).body.id}/goals`;
    const mappings = [{ column: 'a', property: 'shared', rule: 'set-if-empty' }];
    const first = await api.call('POST', await goalsOf('First writer'), importGoal({ mappings }));
    expect(first.body.warnings).toEqual([
      {
        field: 'mappings.0.property',
        message: 'the property "shared" exists already: the import fills it where it has no value',
      },
    ]);
    const second = await api.call('POST', await goalsOf('Second writer'), importGoal({ name: 'Again', mappings: [] }));
    expect(second.body.warnings).toBeUndefined();
    const changed = await api.call('PATCH', `${w}/goals/${second.body.id}`, {
      mappings: [{ column: 'b', property: 'shared' }],
      mapAll: { prefix: 'crm.' },
    });
    expect(changed.body.warnings).toEqual([
      {
        field: 'mappings.0.property',
        message:
          'the property "shared" exists already: the import overwrites its values; it is written by "Import customers" of "First writer" too',
      },
      {
        field: 'mapAll',
        message:
          'every property of a column\'s name, with "crm." before it, exists already: the import overwrites their values',
      },
    ]);
  });

  it('map a column without target to prefix and column, and add the property where there is none', async () => {
    await api.call('POST', `${w}/properties`, { name: 'crm.city' });
    const connection = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Prefixed' }))).body.id;
    const saved = await api.call(
      'POST',
      `${w}/connections/${connection}/goals`,
      importGoal({
        mappingPrefix: 'crm.',
        mappings: [
          { column: 'city' },
          { column: 'spent', rule: 'sum' },
          { column: 'tags', rule: 'add' },
          { column: 'born', property: 'crm.birthday', createAs: 'date' },
        ],
      }),
    );
    expect(saved.body.mappings).toEqual([
      { column: 'city', property: 'crm.city', rule: 'set', createAs: 'string' },
      { column: 'spent', property: 'crm.spent', rule: 'sum', createAs: 'decimal' },
      { column: 'tags', property: 'crm.tags', rule: 'add', createAs: 'string' },
      { column: 'born', property: 'crm.birthday', rule: 'set', createAs: 'date' },
    ]);
    expect(saved.body.warnings).toEqual([
      {
        field: 'mappings.0.property',
        message: 'the property "crm.city" exists already: the import overwrites its values',
      },
    ]);
    const { items } = (await api.call('GET', `${w}/properties`)).body;
    expect(items.filter(({ name }: { name: string }) => name.startsWith('crm.'))).toMatchObject([
      { name: 'crm.birthday', type: 'date', list: false },
      { name: 'crm.city', type: 'string', list: false },
      { name: 'crm.spent', type: 'decimal', list: false },
      { name: 'crm.tags', type: 'string', list: true },
    ]);
    const goal = `${w}/goals/${saved.body.id}`;
    const again = await api.call('PATCH', goal, { mappings: [{ column: 'zip' }] });
    expect(again.body.mappings[0].property).toBe('crm.zip');
    expect(again.body.warnings).toBeUndefined();
    const clash = await api.call('PATCH', goal, { mappings: [{ column: 'city.name' }] });
    expect(clash).toMatchObject({ status: 400, body: { code: 'property-prefix', at: 'mappings.0.property' } });
    const nameless = await api.call('PATCH', goal, { mappings: [{ column: 'a..b' }] });
    expect(nameless.body.errors).toEqual([
      {
        field: 'mappings.0.property',
        message: 'must be named: "crm.a..b" is no name of a property, it must not contain an empty path segment',
      },
    ]);
    const headerless = await api.call('PATCH', goal, {
      csv: { header: false },
      matching: { identifiers: [{ column: '1', namespace: 'customerId' }] },
      mappings: [{ column: '2' }],
    });
    expect(headerless.body.errors).toEqual([
      {
        field: 'mappings.0.property',
        message: 'must be named: the file has no header, so its columns have no names',
      },
    ]);
  });

  it('bring properties to a group type too', async () => {
    await api.call('POST', `${w}/group-types`, { code: 'club', properties: [{ name: 'name' }] });
    const connection = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Clubs' }))).body.id;
    const saved = await api.call('POST', `${w}/connections/${connection}/goals`, {
      kind: 'import-groups',
      name: 'Import clubs',
      groupType: 'club',
      source: { bucket: 'inbox', pattern: { kind: 'every' } },
      matching: { column: 'key' },
      mappings: [{ column: 'name' }, { column: 'members', rule: 'sum' }],
    });
    expect(saved.body.warnings).toEqual([
      { field: 'mappings.0.property', message: expect.stringContaining('"name" exists already') },
    ]);
    const types = (await api.call('GET', `${w}/group-types`)).body.items;
    expect(types.find(({ code }: { code: string }) => code === 'club').properties).toEqual([
      { name: 'name', type: 'string', list: false },
      { name: 'members', type: 'decimal', list: false },
    ]);
  });

  it('refuse a kind their connection cannot do', async () => {
    const stream = (await api.call('POST', `${w}/connections`, kinesisConnection())).body.id;
    const answer = await api.call('POST', `${w}/connections/${stream}/goals`, importGoal());
    expect(answer.body.errors).toEqual([
      { field: 'kind', message: 'needs a connection of the kind "s3", this one is "kinesis"' },
    ]);
  });

  it('have names of their own inside a connection', async () => {
    const connection = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Twins' }))).body.id;
    await api.call('POST', `${w}/connections/${connection}/goals`, importGoal());
    expect((await api.call('POST', `${w}/connections/${connection}/goals`, importGoal())).status).toBe(409);
  });
});

describe('requests that are not as described', () => {
  it('answer problem documents', async () => {
    const broken = await api.call('POST', '/workspaces', '{"name": ');
    expect(broken).toMatchObject({ status: 400, body: { code: 'invalid-json' } });
    expect(await api.call('GET', `${w}/runs?limit=0`)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'limit' }] },
    });
    expect((await api.call('GET', `${w}/goals/not-an-id`)).status).toBe(400);
    const unknown = await fetch(`${api.url}/api/v1/nothing`, {
      headers: { authorization: `Bearer ${api.platformKey}` },
    });
    expect(unknown.status).toBe(404);
    expect(unknown.headers.get('content-type')).toContain('application/problem+json');
  });
});

import { waitFor } from '@millrace/testing';
import { exportGoal, importGoal, kinesisConnection, s3Connection, startApi, w, type Api } from './api-fixture.js';

let api: Api;
let segment: string;
let ads: string;

beforeAll(async () => {
  api = await startApi('govern');
  for (const property of [{ name: 'mail' }, { name: 'shoeSize' }, { name: 'loyaltyId', unique: true }])
    await api.call('POST', `${w}/properties`, property);
  segment = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule: { kind: 'all', rules: [] } })).body.id;
  ads = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Ads', marketingActions: ['advertising'] })))
    .body.id;
});
afterAll(async () => {
  await api.close();
});

let goals = 0;
const column = (source: object) => [{ header: 'h', source }];
const save = (connection: string, goal: object) =>
  api.call('POST', `${w}/connections/${connection}/goals`, { ...goal, name: `goal ${(goals += 1)}` });
const label = (kind: string, name: string, labels: readonly string[]) =>
  api.call('PUT', `${w}/labels`, { kind, name, labels });
let policies = 0;
const forbid = async (labelled: string, action = 'advertising') =>
  (await api.call('POST', `${w}/policies`, { name: `No ${labelled} ${(policies += 1)}`, label: labelled, action }))
    .body;

describe('a policy', () => {
  it('refuses to save what it forbids, naming policy, label and field, and nothing else', async () => {
    await label('property', 'mail', ['C1']);
    const { name } = await forbid('C1');
    const refused = await save(ads, exportGoal(segment, { columns: column({ kind: 'property', property: 'mail' }) }));
    expect(refused).toMatchObject({ status: 400 });
    expect(refused.body.errors).toEqual([
      {
        field: 'columns.0.source',
        message: `the policy "${name}" forbids data labelled "C1" for "advertising", and the property "mail" carries that label`,
      },
    ]);
    const size = exportGoal(segment, { columns: column({ kind: 'property', property: 'shoeSize' }) });
    expect((await save(ads, size)).status).toBe(201);
    const elsewhere = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Letters' }))).body.id as string;
    const mail = exportGoal(segment, { columns: column({ kind: 'property', property: 'mail' }) });
    expect((await save(elsewhere, mail)).status).toBe(201);
    const change = await api.call('PATCH', `${w}/connections/${elsewhere}`, { marketingActions: ['advertising'] });
    expect(change).toMatchObject({ status: 409, body: { code: 'policy-conflict', at: 'columns.0.source' } });
  });

  it('reads labels of segments, group and event types, of identities as of the property, and of what an import brings in', async () => {
    const labelledSegment = (
      await api.call('POST', `${w}/segments`, { name: 'Patients', rule: { kind: 'all', rules: [] } })
    ).body.id as string;
    await label('segment', labelledSegment, ['S1']);
    await forbid('S1');
    const message = async (goal: object) => (await save(ads, goal)).body.errors?.[0];
    expect(await message(exportGoal(labelledSegment))).toMatchObject({
      field: 'segmentId',
      message: expect.stringContaining('"Patients"') as string,
    });
    expect(
      await message(exportGoal(segment, { columns: column({ kind: 'segments', segmentIds: [labelledSegment] }) })),
    ).toMatchObject({ field: 'columns.0.source' });
    expect(await message(exportGoal(segment, { furtherSegmentIds: [labelledSegment] }))).toMatchObject({
      field: 'furtherSegmentIds.0',
    });

    await label('property', 'loyaltyId', ['I1']);
    await forbid('I1');
    const identity = column({ kind: 'identity', namespace: 'loyaltyId' });
    expect(await message(exportGoal(segment, { columns: identity }))).toMatchObject({ field: 'columns.0.source' });

    await label('event-type', 'order', ['O1']);
    await forbid('O1');
    expect(await message(exportGoal(segment, { timeline: { types: ['order'] } }))).toMatchObject({
      field: 'timeline.types.0',
    });

    await api.call('POST', `${w}/properties`, { name: 'bought' });
    const bought = exportGoal(segment, { columns: column({ kind: 'property', property: 'bought' }), active: false });
    expect((await save(ads, bought)).status).toBe(201);
    const source = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Source' }))).body.id as string;
    const brings = await save(source, importGoal({ mappings: [{ column: 'b', property: 'bought' }] }));
    await label('import-goal', brings.body.id as string, ['C2']);
    await forbid('C2');
    expect(await message(bought)).toMatchObject({ field: 'columns.0.source' });
  });

  it('is asked again at every run, and stops the streams it forbids when it comes', async () => {
    await api.call('POST', `${w}/properties`, { name: 'income' });
    const bucket = (
      await api.call('POST', `${w}/connections`, s3Connection({ name: 'Late', marketingActions: ['scoring'] }))
    ).body.id as string;
    const stream = (
      await api.call('POST', `${w}/connections`, kinesisConnection({ name: 'Live', marketingActions: ['scoring'] }))
    ).body.id as string;
    const exported = await save(
      bucket,
      exportGoal(segment, { columns: column({ kind: 'property', property: 'income' }) }),
    );
    const streamed = await save(stream, {
      kind: 'stream',
      streamName: 's',
      segmentIds: [segment],
      properties: ['income'],
    });
    expect([exported.status, streamed.status]).toEqual([201, 201]);
    await forbid('S9', 'scoring');
    const { broken } = (await label('property', 'income', ['S9'])).body;
    expect(broken).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ goalId: exported.body.id, field: 'columns.0.source', stopped: false }),
        expect.objectContaining({ goalId: streamed.body.id, field: 'properties.0', stopped: true }),
      ]),
    );
    expect((await api.call('GET', `${w}/goals/${streamed.body.id}`)).body.active).toBe(false);
    const run = await api.call('POST', `${w}/connections/${bucket}/runs`, {});
    expect(run).toMatchObject({ status: 409, body: { code: 'policy-conflict', at: 'columns.0.source' } });
    expect(run.body.detail).toContain('"S9"');
    await label('property', 'income', []);
    expect((await api.call('POST', `${w}/connections/${bucket}/runs`, {})).status).toBe(202);
  });

  it('keeps from a stream the identities it carries by definition', async () => {
    const stream = (
      await api.call('POST', `${w}/connections`, kinesisConnection({ name: 'Ids', marketingActions: ['advertising'] }))
    ).body.id as string;
    const { status, body } = await save(stream, { kind: 'stream', streamName: 's', segmentIds: [segment] });
    expect({ status, field: body.errors?.[0]?.field }).toEqual({ status: 400, field: 'identityMap' });
  });

  it('has a name of its own, is listed and deleted', async () => {
    const policy = { name: 'Once', label: 'C9', action: 'x' };
    const { body } = await api.call('POST', `${w}/policies`, policy);
    expect((await api.call('POST', `${w}/policies`, policy)).status).toBe(409);
    const { items } = (await api.call('GET', `${w}/policies`)).body;
    expect(items).toContainEqual({ ...policy, id: body.id, createdAt: body.createdAt });
    expect((await api.call('DELETE', `${w}/policies/${body.id}`)).status).toBe(204);
    expect((await api.call('DELETE', `${w}/policies/${body.id}`)).status).toBe(404);
    expect((await label('segment', 'nobody', ['C9'])).status).toBe(404);
    expect((await api.call('GET', `${w}/labels`)).body.items).toContainEqual({
      kind: 'property',
      name: 'mail',
      labels: ['C1'],
    });
  });
});

describe('guardrails of a connection', () => {
  it('refuse goals with more columns, before and after', async () => {
    const guardrails = { maxColumns: 1 };
    const narrow = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Narrow', guardrails }))).body.id;
    const wide = exportGoal(segment, {
      columns: [
        { header: 'a', source: { kind: 'profile-id' } },
        { header: 'b', source: { kind: 'fixed', text: 'x' } },
      ],
    });
    expect((await save(narrow, wide)).body.errors).toMatchObject([{ field: 'columns' }]);
    await api.call('PATCH', `${w}/connections/${narrow}`, { guardrails: {} });
    expect((await save(narrow, wide)).status).toBe(201);
    const change = await api.call('PATCH', `${w}/connections/${narrow}`, { guardrails });
    expect(change).toMatchObject({ status: 409, body: { code: 'guardrail-conflict' } });
  });

  it('leave an export out of a run that was delivered too short a time ago, and say when it may run', async () => {
    const guardrails = { minExportIntervalMinutes: 60 };
    const slow = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Slow', guardrails }))).body
      .id as string;
    const first = (await save(slow, exportGoal(segment))).body.id as string;
    const start = () => api.call('POST', `${w}/connections/${slow}/runs`, {});
    const finish = async (runId: string, goalId: string): Promise<void> => {
      await api.tell(
        runId,
        goalId,
        { kind: 'goal-started' },
        { kind: 'goal-finished', outcome: 'succeeded', counts: {} },
      );
      const over = async () => (await api.call('GET', `${w}/runs/${runId}`)).body.state === 'succeeded';
      await waitFor(over, 60_000, 'the end of the run');
    };
    await finish((await start()).body.id as string, first);
    const refused = await start();
    expect(refused).toMatchObject({ status: 409, body: { code: 'too-soon-conflict' } });
    expect(refused.body.detail).toMatch(/may run at \d{4}-/);
    const second = (await save(slow, exportGoal(segment))).body.id as string;
    const { body } = await start();
    expect(body.goals.map(({ goalId }: { goalId: string }) => goalId)).toEqual([second]);
  });
});

describe('letting data leave', () => {
  it('takes more than managing connections: activating them, and seeing what leaves', async () => {
    const open = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Open' }))).body.id as string;
    const manager = await api.newKey(['config:read', 'config:write'], 'acme');
    const seeing = ['config:read', 'config:write', 'destination:activate', 'profile:read', 'segment:read'];
    const activator = await api.newKey(seeing, 'acme');
    const create = (key: string, more: object = {}) =>
      api.call(
        'POST',
        `${w}/connections/${open}/goals`,
        { ...exportGoal(segment, more), name: `p ${(goals += 1)}` },
        key,
      );
    const refused = await create(manager);
    expect(refused).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    expect(refused.body.detail).toContain('"destination:activate", "profile:read", "segment:read"');
    const saved = await create(manager, { active: false });
    expect(saved.status).toBe(201);
    const activate = (key: string) => api.call('PATCH', `${w}/goals/${saved.body.id}`, { active: true }, key);
    expect((await activate(manager)).status).toBe(403);
    expect((await activate(activator)).status).toBe(200);
    expect((await api.call('PATCH', `${w}/goals/${saved.body.id}`, { active: false }, manager)).status).toBe(200);
    const ids = { columns: column({ kind: 'identity', namespace: 'email' }) };
    expect((await create(activator, ids)).body.detail).toContain('"identity:read"');
    expect((await create(await api.newKey([...seeing, 'identity:read'], 'acme'), ids)).status).toBe(201);
  });
});

import { importGoal, s3Connection, startApi, w, type Answer, type Api } from './api-fixture.js';

let api: Api;
let goals: string;
/** Id of the default domain group, and of another one. */
let first: string;
let brand: string;

beforeAll(async () => {
  api = await startApi('domain_groups');
  await api.call('POST', `${w}/properties`, { name: 'name' });
  const { id } = (await api.call('POST', `${w}/connections`, s3Connection({ name: 'Bucket' }))).body;
  goals = `${w}/connections/${id}/goals`;
  [{ id: first }] = (await api.call('GET', groups)).body.items;
  ({ id: brand } = (await api.call('POST', groups, { name: 'Brand B' })).body);
});
afterAll(() => api.close());

const groups = `${w}/domain-groups`;
const nowhere = '0197a000-0000-7000-8000-00000000ffff';
const fields = (answer: Answer): string[] =>
  ((answer.body.errors ?? []) as { field: string }[]).map(({ field }) => field);
const goalInto = (domainGroupId: string, name = 'Import people'): object =>
  importGoal({ name, matching: { domainGroupId, identifiers: [{ column: 'email', namespace: 'email' }] } });

let batches = 0;
const ingest = (email: string, name: string, more: object = {}): Promise<Answer> => {
  batches += 1;
  const update = {
    identities: [{ namespace: 'email', value: email }],
    properties: [{ property: 'name', value: name }],
  };
  return api.call('POST', `${w}/ingestion/batches`, { batchId: `b${batches}`, updates: [update], ...more });
};
const find = (email: string, more = ''): Promise<Answer> =>
  api.call('GET', `${w}/profiles?namespace=email&value=${encodeURIComponent(email)}${more}`);

describe('domain groups', () => {
  it('are listed with the default one first', async () => {
    expect((await api.call('GET', groups)).body.items).toMatchObject([
      { id: first, name: 'default', default: true },
      { id: brand, name: 'Brand B', default: false },
    ]);
  });

  it('are made and renamed under names of their own', async () => {
    expect((await api.call('POST', groups, { name: 'Brand B' })).status).toBe(409);
    expect(fields(await api.call('POST', groups, { name: '' }))).toEqual(['name']);
    const { id } = (await api.call('POST', groups, { name: 'x' })).body;
    expect((await api.call('PUT', `${groups}/${id}`, { name: 'Brand B' })).status).toBe(409);
    expect((await api.call('PUT', `${groups}/${id}`, { name: 'Brand C' })).body).toMatchObject({ id, name: 'Brand C' });
    expect((await api.call('PUT', `${groups}/${nowhere}`, { name: 'y' })).status).toBe(404);
    expect((await api.call('DELETE', `${groups}/${id}`)).status).toBe(204);
  });

  it('are changed by a key with the scope to do so alone', async () => {
    const reader = await api.newKey(['config:read'], 'acme');
    expect((await api.call('GET', groups, undefined, reader)).status).toBe(200);
    expect((await api.call('POST', groups, { name: 'z' }, reader)).status).toBe(403);
    expect((await api.call('DELETE', `${groups}/${brand}`, undefined, reader)).status).toBe(403);
  });

  it('are deleted only where neither profiles nor goals use them, and never the default one', async () => {
    expect((await api.call('DELETE', `${groups}/${first}`)).body).toMatchObject({
      status: 409,
      code: 'domain-group-default-conflict',
    });
    const { id } = (await api.call('POST', groups, { name: 'used' })).body;
    const goal = (await api.call('POST', goals, goalInto(id.toUpperCase(), 'Import the used'))).body;
    const byGoal = await api.call('DELETE', `${groups}/${id}`);
    expect(byGoal.body).toMatchObject({ status: 409, code: 'domain-group-in-use-conflict' });
    expect(byGoal.body.detail).toContain('"Import the used"');
    await api.call('DELETE', `${w}/goals/${goal.id}`);
    const { profileId } = (await ingest('used@x.org', 'a', { domainGroupId: id })).body.items[0];
    expect((await api.call('DELETE', `${groups}/${id}`)).status).toBe(409);
    await api.call('DELETE', `${w}/profiles/${profileId}`);
    expect((await api.call('DELETE', `${groups}/${id}`)).status).toBe(204);
    expect((await api.call('DELETE', `${groups}/${id}`)).status).toBe(404);
  });

  it('are named by import goals, which must exist', async () => {
    expect(fields(await api.call('POST', goals, goalInto(nowhere)))).toEqual(['matching.domainGroupId']);
    const goal = await api.call('POST', goals, goalInto(brand));
    expect(goal).toMatchObject({ status: 201, body: { matching: { domainGroupId: brand } } });
  });
});

describe('updates as JSON', () => {
  it('go into the domain group they name, or into the default one', async () => {
    const here = (await ingest('one@x.org', 'a')).body.items[0];
    const there = (await ingest('one@x.org', 'b', { domainGroupId: brand })).body.items[0];
    expect([here.outcome, there.outcome]).toEqual(['created', 'created']);
    const again = (await ingest('one@x.org', 'c', { domainGroupId: first })).body.items[0];
    expect(again).toMatchObject({ outcome: 'updated', profileId: here.profileId });
    const unknown = await ingest('one@x.org', 'd', { domainGroupId: nowhere });
    expect([unknown.status, fields(unknown)]).toEqual([400, ['domainGroupId']]);
  });

  it('of a group look up its members there', async () => {
    await ingest('member@x.org', 'a', { domainGroupId: brand });
    const members = [{ namespace: 'email', value: 'member@x.org' }];
    const put = (more: object): Promise<Answer> => api.call('PUT', `${w}/groups/household/h`, { members, ...more });
    expect((await put({})).body).toMatchObject({ unknownMembers: 1 });
    expect((await put({ domainGroupId: brand })).body).toMatchObject({ unknownMembers: 0 });
    expect(fields(await put({ domainGroupId: nowhere }))).toEqual(['domainGroupId']);
  });
});

describe('the look-up by an identity', () => {
  it('shows the profile of the default domain group where several have it, or that of the one named', async () => {
    await ingest('two@x.org', 'b', { domainGroupId: brand });
    await ingest('two@x.org', 'a');
    expect((await find('two@x.org')).body).toMatchObject({
      domainGroup: { id: first, name: 'default' },
      properties: { name: 'a' },
    });
    const there = (await find('two@x.org', `&domainGroupId=${brand}`)).body;
    expect(there).toMatchObject({ domainGroup: { id: brand, name: 'Brand B' }, properties: { name: 'b' } });
    expect((await api.call('GET', `${w}/profiles/${there.id}`)).body).toEqual(there);
  });

  it('says in which domain groups others have it, where the one asked for has none', async () => {
    await ingest('only@x.org', 'b', { domainGroupId: brand });
    const none = await find('only@x.org');
    expect(none.status).toBe(404);
    expect(none.body.detail).toContain(`"Brand B" (${brand})`);
    expect((await find('nobody@x.org')).body.detail).not.toContain('Brand B');
    expect(fields(await find('only@x.org', `&domainGroupId=${nowhere}`))).toEqual(['domainGroupId']);
  });
});

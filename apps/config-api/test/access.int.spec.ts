import { sql } from '@millrace/database';
import { apiControllers } from '../src/app.module.js';
import { routesOf } from '../src/describe-api/describe-api.module.js';
import type { Route } from '../src/describe-api/route.js';
import { request, startApi, w, type Api } from './api-fixture.js';

let api: Api;
beforeAll(async () => {
  api = await startApi('access');
  await api.call('POST', '/workspaces', { name: 'other' });
});
afterAll(() => api.close());

const id = '0197a000-0000-7000-8000-000000000001';
const closed = routesOf(apiControllers).filter(({ operation }) => operation.access !== 'public');
/** A path that leads to the route, in a workspace. */
const target = (route: Route, workspace = 'acme'): string =>
  route.path
    .replace('/api/v1', '')
    .replace('{workspace}', workspace)
    .replace('{groupType}', 'home')
    .replace('{groupKey}', 'k')
    .replace(/\{\w+\}/g, id);
const each = (routes: readonly Route[]) =>
  routes.map((route) => [`${route.method.toUpperCase()} ${route.path}`, route] as const);

describe.each(each(closed))('%s', (_, route) => {
  it('answers 401 without a key, with a wrong one, and with a key in another form', async () => {
    const method = route.method.toUpperCase();
    for (const key of [null, 'mr_wrong', '']) {
      const answer = await request(api.url, method, target(route), undefined, key);
      expect(answer.status).toBe(401);
      expect(answer.body).toMatchObject({ status: 401, code: 'unauthenticated' });
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
  });
});

const scoped = closed.filter(({ operation }) => operation.access !== 'any-key');
const allScopes = ['config:read', 'config:write', 'run:read', 'run:write', 'profile:read', 'profile:write'];

describe.each(each(scoped))('%s', (_, route) => {
  it('answers 403 to a key with every other scope', async () => {
    const others = allScopes.filter((scope) => scope !== route.operation.access);
    const answer = await api.call(
      route.method.toUpperCase(),
      target(route),
      undefined,
      await api.newKey(others, 'acme'),
    );
    expect(answer.status).toBe(403);
    expect(answer.body.detail).toContain(`"${route.operation.access}"`);
  });
});

describe.each(each(scoped.filter(({ operation }) => operation.also !== undefined)))('%s', (_, route) => {
  it('answers 403 to a key without its second scope', async () => {
    const key = await api.newKey([route.operation.access], 'acme');
    const answer = await api.call(route.method.toUpperCase(), target(route), undefined, key);
    expect(answer.status).toBe(403);
    expect(answer.body.detail).toContain(`"${route.operation.also}"`);
  });
});

describe.each(each(scoped.filter(({ path }) => path.includes('{workspace}'))))('%s', (_, route) => {
  it('answers 403 to a key of another workspace, whether or not the workspace exists', async () => {
    const key = await api.newKey(['admin'], 'other');
    const method = route.method.toUpperCase();
    const there = await api.call(method, target(route), undefined, key);
    const nowhere = await api.call(method, target(route, 'nowhere'), undefined, key);
    expect([there.status, nowhere.status]).toEqual([403, 403]);
    expect(there.text).toBe(nowhere.text);
  });

  it('answers something else than 401 and 403 to a key with its scope', async () => {
    const { access, also } = route.operation;
    const key = await api.newKey([access, ...(also === undefined ? [] : [also])], 'acme');
    const answer = await api.call(route.method.toUpperCase(), target(route), undefined, key);
    expect([401, 403, 500]).not.toContain(answer.status);
  });
});

it('keeps keys as hashes only, and shows each once', async () => {
  const created = await api.call('POST', '/api-keys', { name: 'ci', workspace: 'acme', scopes: ['run:write'] });
  const { key } = created.body;
  expect(key).toMatch(/^mr_[\w-]{43}$/);
  const { rows } = await api.database.query<{ text: string }>(sql`SELECT k::text AS text FROM config.api_key k`);
  expect(JSON.stringify(rows)).not.toContain(key.slice(10));
  const listed = await api.call('GET', '/api-keys');
  expect(listed.text).not.toContain(key.slice(10));
  expect(listed.body.items.find((item: { id: string }) => item.id === created.body.id)).toMatchObject({
    name: 'ci',
    workspace: 'acme',
    scopes: ['run:write'],
    prefix: key.slice(0, 9),
  });
});

it('refuses a key at once after it was revoked', async () => {
  const { key, id: keyId } = (
    await api.call('POST', '/api-keys', { name: 'x', workspace: 'acme', scopes: ['config:read'] })
  ).body;
  expect((await api.call('GET', `${w}/properties`, undefined, key)).status).toBe(200);
  expect((await api.call('DELETE', `/api-keys/${keyId}`)).status).toBe(204);
  expect((await api.call('GET', `${w}/properties`, undefined, key)).status).toBe(401);
  expect((await api.call('DELETE', `/api-keys/${keyId}`)).status).toBe(404);
});

describe('an admin of a workspace', () => {
  it('makes keys of that workspace and no others', async () => {
    const admin = await api.newKey(['admin'], 'acme');
    const make = async (body: object): Promise<number> =>
      (await api.call('POST', '/api-keys', { name: 'k', ...body }, admin)).status;
    expect(await make({ workspace: 'acme', scopes: ['admin', 'profile:read'] })).toBe(201);
    expect(await make({ workspace: 'other', scopes: ['profile:read'] })).toBe(400);
    expect(await make({ scopes: ['profile:read'] })).toBe(400);
    expect(await make({ workspace: 'acme', scopes: ['platform'] })).toBe(400);
  });

  it('sees and revokes keys of that workspace only', async () => {
    const admin = await api.newKey(['admin'], 'other');
    const stranger = (await api.call('POST', '/api-keys', { name: 's', workspace: 'acme', scopes: ['run:read'] })).body
      .id;
    const { items } = (await api.call('GET', '/api-keys', undefined, admin)).body;
    expect(new Set(items.map((item: { workspace: string }) => item.workspace))).toEqual(new Set(['other']));
    expect((await api.call('DELETE', `/api-keys/${stranger}`, undefined, admin)).status).toBe(404);
  });

  it('sees its workspace alone and makes none', async () => {
    const admin = await api.newKey(['admin'], 'other');
    expect(
      (await api.call('GET', '/workspaces', undefined, admin)).body.items.map((item: { name: string }) => item.name),
    ).toEqual(['other']);
    expect((await api.call('POST', '/workspaces', { name: 'third' }, admin)).status).toBe(403);
  });
});

it('lets a workspace-less key with few scopes read every workspace and do no more', async () => {
  const key = await api.newKey(['config:read']);
  expect((await api.call('GET', '/workspaces/other/properties', undefined, key)).status).toBe(200);
  expect((await api.call('GET', '/workspaces/nowhere/properties', undefined, key)).status).toBe(404);
  expect((await api.call('POST', '/workspaces/other/properties', { name: 'x' }, key)).status).toBe(403);
});

it('notes when a key was used', async () => {
  const { key, id: keyId } = (
    await api.call('POST', '/api-keys', { name: 'used', workspace: 'acme', scopes: ['config:read'] })
  ).body;
  await api.call('GET', `${w}/properties`, undefined, key);
  const { items } = (await api.call('GET', '/api-keys')).body;
  expect(items.find((item: { id: string }) => item.id === keyId).lastUsedAt).not.toBeNull();
});

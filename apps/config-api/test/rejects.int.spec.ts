import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { waitFor } from '@millrace/testing';
import { importGoal, s3Connection, startApi, w, type Api } from './api-fixture.js';

const token = 'a-token-the-services-share';
const rejected = {
  id: '7',
  name: 'in/customers.csv',
  line: 12,
  scope: 'row',
  column: 'email',
  code: 'no-identifier',
  message: 'every identifier column is empty',
};

let importer: Server;
let asked: { readonly url: string; readonly authorization: string | undefined }[] = [];
let answer: { readonly status: number; readonly body: object };
let api: Api;
let runId: string;
beforeAll(async () => {
  importer = createServer((request, response) => {
    asked.push({ url: request.url ?? '', authorization: request.headers.authorization });
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => importer.listen(0, '127.0.0.1', resolve));
  const { port } = importer.address() as AddressInfo;
  api = await startApi('rejects', {
    env: { MILLRACE_IMPORTER_URL: `http://127.0.0.1:${port}`, MILLRACE_SERVICE_TOKEN: token },
  });
  const connectionId = (await api.call('POST', `${w}/connections`, s3Connection())).body.id;
  const goalId = (await api.call('POST', `${w}/connections/${connectionId}/goals`, importGoal())).body.id;
  runId = (await api.call('POST', `${w}/connections/${connectionId}/runs`)).body.id;
  await api.tell(runId, goalId, {
    kind: 'goal-finished',
    outcome: 'succeeded',
    counts: { rowsRead: 9, rejected: 3, fieldsRejected: 2 },
  });
  await waitFor(async () => (await api.call('GET', `${w}/runs/${runId}`)).body.state === 'succeeded');
});
afterAll(async () => {
  await api.close();
  importer.close();
});
beforeEach(() => {
  asked = [];
  answer = { status: 200, body: { items: [rejected], next: '7' } };
});

const list = (query = '', key?: string) => api.call('GET', `${w}/runs/${runId}/rejects${query}`, undefined, key);

it('lists what the importer has rejected, a page at a time, with the totals of the run', async () => {
  expect((await list('?limit=1&after=5')).body).toEqual({
    listed: true,
    rejectedRows: 3,
    rejectedFields: 2,
    items: [rejected],
    next: '7',
  });
  expect(asked).toEqual([{ url: `/rejects/${runId}?limit=1&raw=false&after=5`, authorization: `Bearer ${token}` }]);
});

it('shows raw rows only to keys that may read profiles', async () => {
  expect((await list('?raw=true', await api.newKey(['run:read'], 'acme'))).status).toBe(403);
  expect(asked).toEqual([]);
  expect((await list('?raw=true', await api.newKey(['run:read', 'profile:read'], 'acme'))).status).toBe(200);
  expect(asked[0]?.url).toContain('raw=true');
});

it('lists the rows of one goal alone, with its totals', async () => {
  const goalId = (await api.call('GET', `${w}/runs/${runId}`)).body.goals[0].goalId as string;
  expect((await list(`?goal=${goalId}`)).body).toMatchObject({ rejectedRows: 3, items: [rejected] });
  expect(asked[0]?.url).toContain(`goal=${goalId}`);
  expect(await list(`?goal=${runId}`)).toMatchObject({ status: 404, body: { code: 'goal-not-found' } });
});

it('does not ask about runs of other workspaces', async () => {
  await api.call('POST', '/workspaces', { name: 'other' });
  expect((await api.call('GET', `/workspaces/other/runs/${runId}/rejects`)).status).toBe(404);
  expect(asked).toEqual([]);
});

it('gives the log of a run as a file of text', async () => {
  const { type, headers, text: log } = await api.call('GET', `${w}/runs/${runId}/log`);
  expect(type).toBe('text/plain; charset=utf-8');
  expect(headers.get('content-disposition')).toBe(`attachment; filename="run-${runId}.log"`);
  expect(log).toContain(': import-profiles started\n');
  expect(log).toMatch(/ succeeded\n$/);
});

it('asks to try again when the importer does not answer as it should', async () => {
  for (const wrong of [
    { status: 500, body: {} },
    { status: 401, body: {} },
    { status: 200, body: { items: 'none' } },
  ]) {
    answer = wrong;
    expect(await list()).toMatchObject({ status: 503, body: { code: 'importer-unavailable' } });
  }
});

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { waitFor } from '@millrace/testing';
import { importGoal, s3Connection, startApi, w, type Api } from './api-fixture.js';

const token = 'a-token-the-services-share';
const csv = '#file,#line,#column,#code,#reason,id\nc.csv,2,,,,1\n';
const outcome = {
  rowsRead: 1,
  created: 1,
  updated: 0,
  unchanged: 0,
  erased: 0,
  skipped: {},
  ambiguous: 0,
  stillRejected: 0,
  refused: 0,
  problems: [],
};
let importer: Server;
let asked: { readonly call: string; readonly type: string | undefined; readonly body: string }[] = [];
let answer: { readonly status: number; readonly type: string; readonly body: string };
let api: Api;
let runId: string;
let goalId: string;

beforeAll(async () => {
  const keep = async (request: IncomingMessage): Promise<void> => {
    const { method, url, headers } = request;
    if (headers.authorization !== `Bearer ${token}`) throw new Error('without the token');
    asked.push({ call: `${method} ${url}`, type: headers['content-type'], body: await text(request) });
  };
  importer = createServer((request, response) => {
    void keep(request).then(() => response.writeHead(answer.status, { 'content-type': answer.type }).end(answer.body));
  });
  await new Promise<void>((resolve) => importer.listen(0, '127.0.0.1', resolve));
  const { port } = importer.address() as AddressInfo;
  api = await startApi('fix-rows', {
    env: { MILLRACE_IMPORTER_URL: `http://127.0.0.1:${port}`, MILLRACE_SERVICE_TOKEN: token },
  });
  const connectionId = (await api.call('POST', `${w}/connections`, s3Connection())).body.id;
  goalId = (await api.call('POST', `${w}/connections/${connectionId}/goals`, importGoal())).body.id;
  runId = (await api.call('POST', `${w}/connections/${connectionId}/runs`)).body.id;
});
afterAll(async () => {
  await api.close();
  importer.close();
});
beforeEach(() => {
  asked = [];
});

const send = (body: string, key = api.platformKey, type = 'text/csv') =>
  fetch(`${api.url}/api/v1${w}/runs/${runId}/fixed-rows`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': type },
    body,
  });

it('passes the reject file on to those who may read profiles', async () => {
  answer = { status: 200, type: 'text/csv', body: csv };
  const got = await api.call('GET', `${w}/runs/${runId}/rejects.csv`);
  expect(got).toMatchObject({ status: 200, text: csv });
  expect(got.type).toContain('text/csv');
  expect(asked).toMatchObject([{ call: `GET /rejects/${runId}/csv` }]);
  const key = await api.newKey(['run:read'], 'acme');
  expect((await api.call('GET', `${w}/runs/${runId}/rejects.csv`, undefined, key)).status).toBe(403);
});

it('hands fixed rows over as they are, for those who may write profiles', async () => {
  answer = { status: 200, type: 'application/json', body: JSON.stringify(outcome) };
  expect((await send(csv, await api.newKey(['run:write'], 'acme'))).status).toBe(403);
  expect(asked).toEqual([]);
  const response = await send(csv, await api.newKey(['run:write', 'profile:write'], 'acme'));
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual(outcome);
  expect(asked).toEqual([{ call: `POST /fixed-rows/${runId}`, type: 'text/csv; charset=utf-8', body: csv }]);
  expect((await send('{}', api.platformKey, 'application/json')).status).toBe(415);
  expect((await send('')).status).toBe(400);
});

it('passes on why the importer refuses', async () => {
  const problem = { type: 'urn:x', title: 'Conflict', status: 409, detail: 'under way', code: 'run-conflict' };
  answer = { status: 409, type: 'application/problem+json', body: JSON.stringify(problem) };
  const response = await send(csv);
  expect({ status: response.status, body: await response.json() }).toMatchObject({
    status: 409,
    body: { code: 'run-conflict', detail: 'under way' },
  });
});

it('shows the counts of a run that is over as they are after fixed rows', async () => {
  await api.tell(runId, goalId, { kind: 'goal-finished', outcome: 'succeeded', counts: { rowsRead: 2, rejected: 2 } });
  await waitFor(async () => (await api.call('GET', `${w}/runs/${runId}`)).body.state === 'succeeded');
  await api.tell(runId, goalId, { kind: 'goal-recounted', counts: { rowsRead: 2, rejected: 1, created: 1 } });
  const counts = async () => (await api.call('GET', `${w}/runs/${runId}`)).body.goals[0].counts;
  await waitFor(async () => (await counts()).created === 1);
  expect(await counts()).toMatchObject({ rowsRead: 2, rejected: 1, created: 1 });
  expect((await api.call('GET', `${w}/runs/${runId}`)).body.state).toBe('succeeded');
});

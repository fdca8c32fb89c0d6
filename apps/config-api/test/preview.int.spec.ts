import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { openEndpoint } from '@millrace/crypto';
import type { GoalEndpoint, ImportPreviewRequest } from '@millrace/domain';
import { importGoal, kinesisConnection, s3Connection, startApi, w, type Api } from './api-fixture.js';

interface Asked {
  readonly path: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

const token = 'a-token-the-services-share';
const nothing = { sets: [], setsFound: 0, objectsListed: 0, listedAll: true, files: [] };
let importer: Server;
let asked: Asked[] = [];
let answer: { readonly status: number; readonly body: object };
let api: Api;
let connectionId: string;

beforeAll(async () => {
  const keep = async (request: IncomingMessage): Promise<void> => {
    asked.push({ path: request.url, authorization: request.headers.authorization, body: await text(request) });
  };
  importer = createServer((request, response) => {
    void keep(request).then(() =>
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body)),
    );
  });
  await new Promise<void>((resolve) => importer.listen(0, '127.0.0.1', resolve));
  const { port } = importer.address() as AddressInfo;
  api = await startApi('preview', {
    env: { MILLRACE_IMPORTER_URL: `http://127.0.0.1:${port}`, MILLRACE_SERVICE_TOKEN: token },
  });
  connectionId = (await api.call('POST', `${w}/connections`, s3Connection())).body.id;
});
afterAll(async () => {
  await api.close();
  importer.close();
});
beforeEach(() => {
  asked = [];
  answer = { status: 200, body: nothing };
});

const preview = (body: unknown, key?: string, id = connectionId) =>
  api.call('POST', `${w}/connections/${id}/preview`, body, key);

it('hands a goal that is not saved to the importer, its secrets sealed for it', async () => {
  expect(await preview({ ...importGoal(), csv: { delimiter: ';' } })).toMatchObject({ status: 200, body: nothing });
  const [call] = asked;
  expect(call).toMatchObject({ path: '/previews', authorization: `Bearer ${token}` });
  expect(call?.body).not.toContain('planted-secret-access-key');
  const order = JSON.parse(call?.body ?? '') as {
    workspaceId: number;
    endpoint: GoalEndpoint;
    request: ImportPreviewRequest;
  };
  expect(order.request).toMatchObject({ csv: { delimiter: ';' }, rows: 20, linked: [] });
  const owner = { workspaceId: order.workspaceId, connectionId };
  expect(openEndpoint(order.endpoint, api.keys.importer, owner).credentials).toMatchObject({
    secretAccessKey: 'planted-secret-access-key',
  });
});

it('is for keys that may both change the configuration and read profiles', async () => {
  const goal = importGoal();
  expect((await preview(goal, await api.newKey(['config:write'], 'acme'))).status).toBe(403);
  expect((await preview(goal, await api.newKey(['profile:read'], 'acme'))).status).toBe(403);
  expect(asked).toEqual([]);
  expect((await preview(goal, await api.newKey(['config:write', 'profile:read'], 'acme'))).status).toBe(200);
});

it('refuses what is no source before anybody is asked', async () => {
  expect((await preview({})).status).toBe(400);
  expect((await preview({ ...importGoal(), csv: { delimiter: 'xx' } })).status).toBe(400);
  expect((await preview({ ...importGoal(), csv: { delimeter: ';' } })).status).toBe(400);
  expect((await preview({ ...importGoal(), rows: 51 })).status).toBe(400);
  const stream = (await api.call('POST', `${w}/connections`, kinesisConnection())).body.id as string;
  expect(await preview(importGoal(), undefined, stream)).toMatchObject({
    status: 400,
    body: { code: 'connection-kind' },
  });
  expect(asked).toEqual([]);
});

it('passes on what the importer says must be changed, and asks to try again when it says nothing useful', async () => {
  const problem = {
    type: 'urn:x',
    title: 'Not found',
    status: 404,
    detail: 'no bucket',
    code: 'bucket-not-found',
    at: 'b',
  };
  answer = { status: 404, body: problem };
  expect(await preview(importGoal())).toMatchObject({
    status: 404,
    body: { code: 'bucket-not-found', detail: 'no bucket', at: 'b' },
  });
  for (const wrong of [
    { status: 500, body: {} },
    { status: 200, body: { files: 'none' } },
  ]) {
    answer = wrong;
    expect(await preview(importGoal())).toMatchObject({ status: 503, body: { code: 'importer-unavailable' } });
  }
});

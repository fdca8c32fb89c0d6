import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { ExportPreview, ExportPreviewOrder } from '@millrace/domain';
import { exportGoal, importGoal, s3Connection, startApi, w, type Api } from './api-fixture.js';

interface Asked {
  readonly path: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

const token = 'a-token-the-services-share';
const told: ExportPreview = {
  mode: 'delta',
  members: 5,
  eligible: 4,
  touched: 2,
  due: 1,
  withheld: 1,
  withheldBy: { 'no-consent': 1 },
  headers: ['id'],
  rows: [['x']],
  text: 'id\nx\n',
};
let exporter: Server;
let asked: Asked[] = [];
let answer: { readonly status: number; readonly body: object };
let api: Api;
let goalId: string;
let otherGoalId: string;

beforeAll(async () => {
  const keep = async (request: IncomingMessage): Promise<void> => {
    asked.push({ path: request.url, authorization: request.headers.authorization, body: await text(request) });
  };
  exporter = createServer((request, response) => {
    void keep(request).then(() =>
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body)),
    );
  });
  await new Promise<void>((resolve) => exporter.listen(0, '127.0.0.1', resolve));
  const { port } = exporter.address() as AddressInfo;
  api = await startApi('preview_export', {
    env: { MILLRACE_EXPORTER_URL: `http://127.0.0.1:${port}`, MILLRACE_SERVICE_TOKEN: token },
  });
  const connection = (await api.call('POST', `${w}/connections`, s3Connection())).body.id as string;
  const rule = { kind: 'all', rules: [] };
  const segment = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule })).body.id as string;
  const save = async (goal: object): Promise<string> =>
    (await api.call('POST', `${w}/connections/${connection}/goals`, goal)).body.id as string;
  goalId = await save(exportGoal(segment));
  otherGoalId = await save(importGoal());
});
afterAll(async () => {
  await api.close();
  exporter.close();
});
beforeEach(() => {
  asked = [];
  answer = { status: 200, body: told };
});

const preview = (key?: string, id = goalId) => api.call('GET', `${w}/goals/${id}/preview`, undefined, key);

it('asks the exporter with the goal as it is saved, and no secret', async () => {
  expect(await preview()).toMatchObject({ status: 200, body: told });
  const [call] = asked;
  expect(call).toMatchObject({ path: '/previews', authorization: `Bearer ${token}` });
  expect(call?.body).not.toContain('planted');
  const order = JSON.parse(call?.body ?? '') as ExportPreviewOrder;
  expect(order).toMatchObject({ goalId, goal: { kind: 'export-profiles', mode: 'delta' } });
});

it('is for keys that may read both the configuration and profiles', async () => {
  expect((await preview(await api.newKey(['config:read'], 'acme'))).status).toBe(403);
  expect((await preview(await api.newKey(['profile:read'], 'acme'))).status).toBe(403);
  expect(asked).toEqual([]);
  expect((await preview(await api.newKey(['config:read', 'profile:read'], 'acme'))).status).toBe(200);
});

it('is for export goals', async () => {
  expect(await preview(undefined, otherGoalId)).toMatchObject({ status: 400, body: { code: 'goal-kind' } });
  expect(asked).toEqual([]);
});

it('passes on what the exporter says must be changed, and asks to try again when it says nothing useful', async () => {
  const problem = {
    type: 'urn:x',
    title: 'x',
    status: 400,
    detail: 'no such property',
    code: 'column-unknown',
    at: 'a',
  };
  answer = { status: 400, body: problem };
  expect(await preview()).toMatchObject({ status: 400, body: { code: 'column-unknown', at: 'a' } });
  for (const wrong of [
    { status: 500, body: {} },
    { status: 200, body: { rows: 'none' } },
  ]) {
    answer = wrong;
    expect(await preview()).toMatchObject({ status: 503, body: { code: 'exporter-unavailable' } });
  }
});

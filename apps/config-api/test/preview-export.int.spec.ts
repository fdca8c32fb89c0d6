import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { sql } from '@millrace/database';
import type { Explanation, ExportPreview, ExportPreviewOrder } from '@millrace/domain';
import { eraseProfiles } from '@millrace/profile-store';
import { waitFor } from '@millrace/testing';
import { exportGoal, importGoal, kinesisConnection, s3Connection, startApi, w, type Api } from './api-fixture.js';

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
  warnings: [],
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
  const connection = (await api.call('POST', `${w}/connections`, s3Connection({ consentObjectives: ['news'] }))).body
    .id as string;
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

it('shows what lies in the target directory already, newest first', async () => {
  mkdirSync(path.join(api.bucketRoot, 'acme-files', 'out'), { recursive: true });
  for (const name of ['out/a.csv', 'out/b.csv', 'elsewhere.csv'])
    writeFileSync(path.join(api.bucketRoot, 'acme-files', name), 'x\n');
  const { files, count, more } = (await preview()).body.target;
  expect({ names: files.map(({ name }: { name: string }) => name).sort(), count, more }).toEqual({
    names: ['out/a.csv', 'out/b.csv'],
    count: 2,
    more: false,
  });
});

it('tells of a target that cannot be listed, and previews all the same', async () => {
  rmSync(path.join(api.bucketRoot, 'acme-files'), { recursive: true, force: true });
  expect(await preview()).toMatchObject({ status: 200, body: { target: { error: { code: 'bucket-not-found' } } } });
});

describe('the explanation of a profile', () => {
  const explain = (query: string, id = goalId, key?: string) =>
    api.call('GET', `${w}/goals/${id}/explain?${query}`, undefined, key);
  const profileId = '0194b2a0-0000-7000-8000-00000000000a';
  const explained: Explanation = {
    profileId,
    included: false,
    mode: 'delta',
    audiences: [
      { segmentIds: [profileId], included: false, conditions: [{ condition: 'exists', met: false, answer: 'no' }] },
    ],
  };

  it('is the exporter’s, asked with the profile that has the identity, or had it', async () => {
    answer = { status: 200, body: explained };
    expect(await explain(`profile=${profileId}`)).toMatchObject({ status: 200, body: explained });
    expect(asked[0]).toMatchObject({ path: '/previews/explanation' });
    expect(JSON.parse(asked[0]?.body ?? '')).toMatchObject({ profileId, goalId });
    const updates = [{ identities: [{ namespace: 'email', value: 'Ann@x.test' }] }];
    const { body } = await api.call('POST', `${w}/ingestion/batches`, { batchId: 'b1', updates });
    const ann = body.items[0].profileId as string;
    await explain('namespace=email&value=ANN@x.test');
    expect(JSON.parse(asked[1]?.body ?? '')).toMatchObject({ profileId: ann });
    await api.database.transaction((tx) => eraseProfiles(tx, 1, sql`SELECT ${ann}::uuid`));
    await explain('namespace=email&value=ann@x.test');
    expect(JSON.parse(asked[2]?.body ?? '')).toMatchObject({ profileId: ann });
    expect((await explain('namespace=email&value=nobody@x.test')).status).toBe(404);
    expect((await explain('namespace=email')).status).toBe(400);
    expect((await explain(`profile=${profileId}`, goalId, await api.newKey(['config:read'], 'acme'))).status).toBe(403);
  });

  it('looks the identity up in the default domain group, or in the one named, whoever has it elsewhere', async () => {
    answer = { status: 200, body: explained };
    const { id: domainGroupId } = (await api.call('POST', `${w}/domain-groups`, { name: 'Brand B' })).body;
    const updates = [{ identities: [{ namespace: 'email', value: 'eve@x.test' }] }];
    const batch = { batchId: 'eve', domainGroupId, updates };
    const eve = (await api.call('POST', `${w}/ingestion/batches`, batch)).body.items[0].profileId as string;
    const named = `namespace=email&value=eve@x.test&domainGroupId=${domainGroupId}`;
    await explain(named);
    await api.database.transaction((tx) => eraseProfiles(tx, 1, sql`SELECT ${eve}::uuid`));
    await explain(named);
    expect(asked.map(({ body }) => (JSON.parse(body) as { profileId: string }).profileId)).toEqual([eve, eve]);
    expect((await explain('namespace=email&value=eve@x.test')).status).toBe(404);
    expect((await explain(`namespace=email&value=eve@x.test&domainGroupId=${profileId}`)).status).toBe(400);
  });

  it('of a stream is answered with each condition', async () => {
    const stream = (await api.call('POST', `${w}/connections`, kinesisConnection({ consentObjectives: ['news'] }))).body
      .id;
    const rule = { kind: 'all', rules: [] };
    const segment = (await api.call('POST', `${w}/segments`, { name: 'Streamed', rule })).body.id as string;
    const goal = { kind: 'stream', name: 'S', streamName: 's', segmentIds: [segment] };
    const { id } = (await api.call('POST', `${w}/connections/${stream}/goals`, goal)).body;
    const updates = [{ identities: [{ namespace: 'email', value: 'bob@x.test' }] }];
    const { body } = await api.call('POST', `${w}/ingestion/batches`, { batchId: 'b2', updates });
    const told = async (): Promise<Explanation> =>
      (await explain(`profile=${body.items[0].profileId}`, id)).body as Explanation;
    const unmet = ({ audiences }: Explanation) =>
      audiences[0]?.conditions.filter(({ met }) => !met).map(({ condition }) => condition);
    await waitFor(async () => !unmet(await told())?.includes('in-segment'), 60_000, 'the segment');
    expect(await told()).toMatchObject({ mode: 'stream', included: false });
    expect(unmet(await told())).toEqual(['no-consent']);
    const consent = [{ objective: 'news', granted: true }];
    await api.call('POST', `${w}/ingestion/batches`, { batchId: 'b3', updates: [{ ...updates[0], consent }] });
    expect(await told()).toMatchObject({ included: true });
  });
});

const preview = (key?: string, id = goalId) => api.call('GET', `${w}/goals/${id}/preview`, undefined, key);

it('asks the exporter with the goal as it is saved, and no secret', async () => {
  expect(await preview()).toMatchObject({ status: 200, body: told });
  const [call] = asked;
  expect(call).toMatchObject({ path: '/previews', authorization: `Bearer ${token}` });
  expect(call?.body).not.toContain('planted');
  const order = JSON.parse(call?.body ?? '') as ExportPreviewOrder;
  expect(order).toMatchObject({
    goalId,
    goal: { kind: 'export-profiles', mode: 'delta' },
    consentObjectives: ['news'],
  });
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

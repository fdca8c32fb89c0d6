import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sql } from '@millrace/database';
import { sendCommand } from '@millrace/job-queue';
import { waitFor } from '@millrace/testing';
import type { CommandBody, StreamExplanation, StreamState } from '@millrace/domain';
import { importGoal, kinesisConnection, s3Connection, startApi, w, type Api } from './api-fixture.js';

const token = 'a-token-the-services-share';
const profileId = '019a0000-0000-7000-8000-00000000a001';

const state: StreamState = {
  goalId: profileId,
  state: 'active',
  since: '2026-11-21T08:00:00.000Z',
  lagSeconds: 0.5,
  waiting: { changes: 1, backfill: 2, deadLetters: 3 },
  backfills: [],
  totals: {
    records: 1,
    bytes: 1000,
    retries: 0,
    throttled: 0,
    deadLetters: 0,
    withheld: 0,
    withdrawn: 0,
    erased: 0,
  },
};
const letter = {
  profileId,
  reason: 'record-too-large',
  message: 'too large',
  attempts: 1,
  failedAt: '2026-11-21T08:00:00.000Z',
  changedAt: '2026-11-21T08:00:00.000Z',
  causes: ['attribute'],
};
const explanation: StreamExplanation = {
  profileId,
  state: 'active',
  decision: 'send',
  because: ['it is in a mapped segment'],
  memberships: [],
  record: '{}',
};

let publisher: Server;
let asked: { readonly url: string; readonly authorization: string | undefined }[] = [];
interface Said {
  readonly status: number;
  readonly body: object;
}
let answer: Said;
/** In place of `answer`, for what it gives an answer to. */
let answerTo: (url: string) => Said | undefined;
let api: Api;
let goalId: string;
let connectionId: string;
let stream: string;
let otherGoalId: string;

beforeAll(async () => {
  publisher = createServer((request, response) => {
    asked.push({ url: request.url ?? '', authorization: request.headers.authorization });
    const { status, body } = answerTo(request.url ?? '') ?? answer;
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => publisher.listen(0, '127.0.0.1', resolve));
  const { port } = publisher.address() as AddressInfo;
  api = await startApi('operate_stream', {
    env: {
      MILLRACE_PUBLISHER_URL: `http://127.0.0.1:${port}`,
      MILLRACE_SERVICE_TOKEN: token,
      MILLRACE_EGRESS_ADDRESSES: '192.0.2.7',
      MILLRACE_ALERT_WATCH_SECONDS: '0.2',
    },
  });
  const rule = { kind: 'all', rules: [] };
  const segmentId = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule })).body.id as string;
  const more = { region: 'eu-west-1' };
  connectionId = (await api.call('POST', `${w}/connections`, kinesisConnection(more))).body.id as string;
  const goal = { kind: 'stream', name: 'Changes', streamName: 's', segmentIds: [segmentId] };
  goalId = (await api.call('POST', `${w}/connections/${connectionId}/goals`, goal)).body.id as string;
  stream = `${w}/goals/${goalId}/stream`;
  const bucket = (await api.call('POST', `${w}/connections`, s3Connection())).body.id as string;
  otherGoalId = (await api.call('POST', `${w}/connections/${bucket}/goals`, importGoal())).body.id as string;
});
afterAll(async () => {
  await api?.close();
  publisher.close();
});
beforeEach(async () => {
  asked = [];
  answerTo = () => undefined;
  await commands();
});

async function commands(): Promise<readonly CommandBody[]> {
  const { rows } = await api.database.query<{ body: string }>(sql`
    WITH taken AS (UPDATE work.command SET handled_at = now() WHERE handled_at IS NULL RETURNING id, body)
    SELECT body FROM taken ORDER BY id`);
  return rows.map(({ body }) => JSON.parse(body) as CommandBody);
}

describe('looking at a stream', () => {
  it('shows what the publisher says of it', async () => {
    answer = { status: 200, body: state };
    expect((await api.call('GET', stream)).body).toEqual(state);
    expect(asked).toEqual([{ url: `/goals/${goalId}`, authorization: `Bearer ${token}` }]);
  });

  it('says since when the stream has been late', async () => {
    answer = { status: 200, body: state };
    // A change that nobody takes up, until it is older than it may be.
    await api.database.query(
      sql`UPDATE config.goal SET document = document || '{"maxLagSeconds": 1}' WHERE id = ${goalId}`,
    );
    await sendCommand(api.database, { kind: 'resume-stream', goalId });
    const { body } = await waitFor(async () => {
      const shown = await api.call('GET', stream);
      return shown.body.lateSince !== undefined && shown;
    });
    expect(body).toEqual({ ...state, lateSince: expect.any(String) });
    await commands();
    await waitFor(async () => (await api.call('GET', stream)).body.lateSince === undefined);
  });

  it('lists dead letters by reason and time', async () => {
    answer = { status: 200, body: { items: [letter], next: '5_x' } };
    const query = 'reason=record-too-large&from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z&limit=7&after=1_x';
    const { body } = await api.call('GET', `${stream}/dead-letters?${query}`);
    expect(body).toEqual({ items: [letter], next: '5_x' });
    const sent = new URL(asked[0]?.url ?? '', 'http://x');
    expect(sent.pathname).toBe(`/goals/${goalId}/dead-letters`);
    expect(Object.fromEntries(sent.searchParams)).toEqual({
      reason: 'record-too-large',
      from: '2026-11-21T00:00:00Z',
      to: '2026-11-22T00:00:00Z',
      limit: '7',
      after: '1_x',
    });
  });

  it('explains a profile to those who may read profiles', async () => {
    answer = { status: 200, body: explanation };
    const path = `${stream}/profiles/${profileId}`;
    expect((await api.call('GET', path)).body).toEqual(explanation);
    expect(asked[0]?.url).toBe(`/goals/${goalId}/profiles/${profileId}`);
    const without = await api.newKey(['run:read'], 'acme');
    expect((await api.call('GET', path, undefined, without)).status).toBe(403);
    const within = await api.newKey(['run:read', 'profile:read'], 'acme');
    expect((await api.call('GET', path, undefined, within)).status).toBe(200);
  });

  it('says so when the goal was never active, is no stream or is not there', async () => {
    answer = { status: 404, body: { type: 'x', title: 'x', status: 404, code: 'stream-not-found', detail: 'none' } };
    expect((await api.call('GET', stream)).body).toMatchObject({ code: 'stream-not-found' });
    expect((await api.call('GET', `${w}/goals/${otherGoalId}/stream`)).body).toMatchObject({ code: 'goal-kind' });
    expect((await api.call('GET', `${w}/goals/${profileId}/stream`)).body).toMatchObject({ code: 'goal-not-found' });
  });

  it('is temporarily impossible while the publisher does not answer', async () => {
    answer = { status: 500, body: {} };
    const { status, body } = await api.call('GET', stream);
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'publisher-unavailable' });
  });

  it('is closed to keys that may not read runs', async () => {
    const key = await api.newKey(['config:write'], 'acme');
    expect((await api.call('GET', stream, undefined, key)).status).toBe(403);
    expect((await api.call('GET', `${stream}/dead-letters`, undefined, key)).status).toBe(403);
  });
});

describe('operating a stream', () => {
  it.each<[string, object | undefined, object]>([
    ['pause', undefined, { kind: 'pause-stream' }],
    ['resume', undefined, { kind: 'resume-stream' }],
    ['backfills/cancel', undefined, { kind: 'cancel-backfill' }],
    ['backfills/cancel', { segmentId: profileId }, { kind: 'cancel-backfill', segmentId: profileId }],
  ])('commands the publisher: %s %j', async (action, body, command) => {
    expect((await api.call('POST', `${stream}/${action}`, body)).status).toBe(202);
    expect(await commands()).toEqual([{ ...command, goalId }]);
  });

  it('needs the right to change runs', async () => {
    const key = await api.newKey(['run:read', 'config:write'], 'acme');
    for (const action of ['pause', 'resume', 'backfills/cancel', 'dead-letters/replay'])
      expect((await api.call('POST', `${stream}/${action}`, {}, key)).status).toBe(403);
    expect(await commands()).toEqual([]);
  });

  it('is refused while the goal is switched off', async () => {
    await api.call('PATCH', `${w}/goals/${goalId}`, { active: false });
    await commands();
    const { status, body } = await api.call('POST', `${stream}/pause`);
    expect({ status, code: body.code }).toEqual({ status: 409, code: 'stream-conflict' });
    expect(await commands()).toEqual([]);
    await api.call('PATCH', `${w}/goals/${goalId}`, { active: true });
  });
});

describe('replaying dead letters', () => {
  const none = { type: 'x', title: 'x', status: 404, code: 'replay-not-found', detail: 'none' };

  it('answers with how many a publisher has taken up, and shows afterwards how far it is', async () => {
    const filter = { profileIds: [profileId], reason: 'InternalFailure', from: '2026-11-21T00:00:00Z' };
    const counted = { state: 'running', filter, takenAt: '2026-11-21T08:00:00.000Z', deadLetters: 7, failed: 0 };
    let looks = 0;
    answerTo = (url) => {
      const id = url.split('/replays/')[1];
      looks += 1;
      if (looks < 3) return { status: 404, body: none };
      return { status: 200, body: { id, ...counted, waiting: 7, sent: 0 } };
    };
    const { status, body } = await api.call('POST', `${stream}/dead-letters/replay`, filter);
    expect(status).toBe(202);
    expect(body).toEqual({ id: expect.any(String), ...counted, waiting: 7, sent: 0 });
    expect(await commands()).toEqual([{ kind: 'replay-dead-letters', goalId, filter, replayId: body.id }]);
    expect(asked.every(({ url }) => url === `/goals/${goalId}/replays/${body.id}`)).toBe(true);

    const later = { id: body.id, ...counted, state: 'done', waiting: 0, sent: 7 };
    answerTo = () => ({ status: 200, body: later });
    expect((await api.call('GET', `${stream}/replays/${body.id}`)).body).toEqual(later);
    answerTo = () => ({ status: 200, body: { items: [later] } });
    expect((await api.call('GET', `${stream}/replays`)).body).toEqual({ items: [later] });
  });

  it('is committed while no publisher answers, and carried out when one does', async () => {
    answer = { status: 500, body: {} };
    const { status, body } = await api.call('POST', `${stream}/dead-letters/replay`);
    expect({ status, body }).toEqual({ status: 202, body: { id: expect.any(String), state: 'asked', filter: {} } });
    answerTo = () => ({ status: 404, body: none });
    expect((await api.call('GET', `${stream}/replays/${body.id}`)).body).toEqual(body);
    expect(await commands()).toEqual([{ kind: 'replay-dead-letters', goalId, filter: {}, replayId: body.id }]);
    expect((await api.call('GET', `${stream}/replays/${body.id}`)).body).toMatchObject({ code: 'replay-not-found' });
  });

  it('names the field of a filter that does not fit', async () => {
    const { status, body } = await api.call('POST', `${stream}/dead-letters/replay`, { from: 'yesterday' });
    expect({ status, at: body.at }).toEqual({ status: 400, at: 'from' });
    expect(await commands()).toEqual([]);
  });
});

describe('what a connection needs', () => {
  it('is printed as an IAM policy, with the addresses it connects from', async () => {
    const { body } = await api.call('GET', `${w}/connections/${connectionId}/access`);
    expect(body.egressAddresses).toEqual(['192.0.2.7']);
    expect(body.policy.Statement[1].Resource).toEqual(['arn:aws:kinesis:eu-west-1:*:stream/s']);
  });

  it('is printed for buckets as well, by what the goals do in them', async () => {
    const { connectionId: bucket } = (await api.call('GET', `${w}/goals/${otherGoalId}`)).body;
    const { body } = await api.call('GET', `${w}/connections/${bucket}/access`);
    expect(body.policy.Statement).toMatchObject([
      { Action: ['s3:ListBucket'], Resource: ['arn:aws:s3:::acme-files'] },
      { Action: ['s3:GetObject'], Resource: ['arn:aws:s3:::acme-files/*'] },
    ]);
  });
});

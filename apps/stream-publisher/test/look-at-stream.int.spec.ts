import { createLogger, parseConfig, startService, type Service } from '@millrace/service-kit';
import { deadLetterPage, streamExplanation, streamReplay, streamReplays, streamState } from '@millrace/domain';
import { testRedisUrl, waitFor } from '@millrace/testing';
import { appModule } from '../src/app.module.js';
import { configSchema } from '../src/config.js';
import { FakeStream } from './fake-stream.js';
import { StreamWorkspace } from './stream-workspace.js';

const token = 'a-token-the-services-share';
let workspace: StreamWorkspace;
let service: Service;
let goalId: string;
let profileId: string;

beforeAll(async () => {
  workspace = await StreamWorkspace.create('look');
  const segment = await workspace.segment('members');
  profileId = await workspace.profile({ membership: { [segment]: 'realized' } });
  const stream = new FakeStream();
  stream.judge = () => ({ code: 'InternalFailure', message: 'it broke' });
  goalId = await workspace.activate(workspace.snapshot({ segmentIds: [segment], retries: 0 }));
  const config = parseConfig(configSchema, {
    MILLRACE_DATABASE_URL: workspace.url,
    MILLRACE_REDIS_URL: await testRedisUrl(),
    MILLRACE_PORT: '0',
    MILLRACE_SEALING_KEY: Buffer.alloc(32, 7).toString('base64'),
    MILLRACE_SERVICE_TOKEN: token,
  });
  const logger = createLogger({ service: 'stream-publisher', level: 'fatal' });
  const module = appModule(config, logger, () => stream);
  service = await startService({ module, name: 'stream-publisher', port: 0, host: '127.0.0.1', logger });
  await waitFor(async () => (await workspace.deliveries()).some((delivery) => delivery.state === 'failed'));
});

afterAll(async () => {
  await service?.stop();
  await workspace.drop();
});

async function get(path: string, shown: string | undefined = token): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${service.url}/${path}`, {
    headers: shown === undefined ? {} : { authorization: `Bearer ${shown}` },
  });
  return { status: response.status, body: await response.json() };
}

describe('what goals are doing', () => {
  it('is shown to services that have the token, in the documented shapes', async () => {
    const state = streamState.parse((await get(`goals/${goalId}`)).body);
    expect(state).toMatchObject({ state: 'active', waiting: { deadLetters: 1 }, backfills: [{ state: 'done' }] });
    const letters = deadLetterPage.parse((await get(`goals/${goalId}/dead-letters?reason=InternalFailure`)).body);
    expect(letters.items.map((letter) => letter.profileId)).toEqual([profileId]);
    const explained = streamExplanation.parse((await get(`goals/${goalId}/profiles/${profileId}`)).body);
    expect(explained).toMatchObject({ decision: 'send', delivery: { state: 'failed', causes: ['backfill'] } });
  });

  it('says how far a replay is', async () => {
    const replayId = '019a0000-0000-7000-8000-00000000b001';
    expect(await get(`goals/${goalId}/replays/${replayId}`)).toMatchObject({
      status: 404,
      body: { code: 'replay-not-found' },
    });
    await workspace.command({ kind: 'replay-dead-letters', goalId, filter: {}, replayId });
    const replay = await waitFor(async () => {
      const { status, body } = await get(`goals/${goalId}/replays/${replayId}`);
      const parsed = status === 200 ? streamReplay.parse(body) : undefined;
      return parsed?.state === 'done' && parsed;
    });
    expect(replay).toMatchObject({ deadLetters: 1, waiting: 0, sent: 0, failed: 1 });
    expect(streamReplays.parse((await get(`goals/${goalId}/replays`)).body).items).toEqual([replay]);
  });

  it.each([
    '',
    '/dead-letters',
    '/replays',
    `/replays/019a0000-0000-7000-8000-00000000b001`,
    '/profiles/019a0000-0000-7000-8000-00000000a001',
  ])('is shown to nobody else: %s', async (path) => {
    expect((await get(`goals/${goalId}${path}`, 'another-token-altogether')).status).toBe(401);
  });

  it('is not known of a goal that was never active', async () => {
    expect(await get(`goals/${profileId}`)).toMatchObject({ status: 404, body: { code: 'stream-not-found' } });
    expect((await get(`goals/${profileId}/profiles/${profileId}`)).status).toBe(404);
    expect((await get('goals/no-uuid')).status).toBe(400);
  });
});

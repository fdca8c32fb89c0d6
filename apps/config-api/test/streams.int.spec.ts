import { sql } from '@millrace/database';
import type { CommandBody } from '@millrace/domain';
import { loadGoalSnapshot } from '@millrace/job-queue';
import { kinesisConnection, startApi, w, type Api } from './api-fixture.js';

let api: Api;
let segmentId: string;
beforeAll(async () => {
  api = await startApi('streams');
  segmentId = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule: { kind: 'all', rules: [] } })).body.id;
  await api.call('POST', `${w}/properties`, { name: 'plan' });
});
afterAll(() => api.close());

/** What was told to stream-publisher since the last look, oldest first. */
async function commands(): Promise<readonly CommandBody[]> {
  const { rows } = await api.database.query<{ body: string }>(sql`
    WITH taken AS (UPDATE work.command SET handled_at = now() WHERE handled_at IS NULL RETURNING id, body)
    SELECT body FROM taken ORDER BY id`);
  return rows.map(({ body }) => JSON.parse(body) as CommandBody);
}

let streams = 0;
const goal = (more: object = {}): object => ({
  kind: 'stream',
  name: 'Changes',
  streamName: 's',
  segmentIds: [segmentId],
  ...more,
});
async function connect(): Promise<string> {
  await commands();
  return (await api.call('POST', `${w}/connections`, kinesisConnection({ name: `Stream ${(streams += 1)}` }))).body.id;
}
const add = async (connectionId: string, more: object = {}): Promise<string> =>
  (await api.call('POST', `${w}/connections/${connectionId}/goals`, goal(more))).body.id;

describe('a stream goal', () => {
  it('starts when it is saved active, with a snapshot of itself', async () => {
    const goalId = await add(await connect());
    const [command, ...others] = await commands();
    expect(others).toEqual([]);
    expect(command).toEqual({ kind: 'activate-stream', goalId, snapshotId: expect.any(String) });
    const snapshot = await loadGoalSnapshot(api.database, (command as { snapshotId: string }).snapshotId);
    expect(snapshot).toMatchObject({ goalId, goal: { kind: 'stream', streamName: 's' } });
  });

  it('does not start when it is saved inactive, or on a connection that is switched off', async () => {
    const connectionId = await connect();
    await add(connectionId, { active: false });
    await api.call('PATCH', `${w}/connections/${connectionId}`, { active: false });
    await add(connectionId, { name: 'Another' });
    expect(await commands()).toEqual([]);
  });

  it('follows a change of what it sends, and not of its name alone', async () => {
    const goalId = await add(await connect());
    await commands();
    await api.call('PATCH', `${w}/goals/${goalId}`, { name: 'Renamed' });
    expect(await commands()).toEqual([]);
    await api.call('PATCH', `${w}/goals/${goalId}`, { properties: ['plan'] });
    expect(await commands()).toEqual([{ kind: 'activate-stream', goalId, snapshotId: expect.any(String) }]);
  });

  it('stops when it is switched off or deleted', async () => {
    const connectionId = await connect();
    const [first, second] = [await add(connectionId), await add(connectionId, { name: 'Second' })];
    await commands();
    await api.call('PATCH', `${w}/goals/${first}`, { active: false });
    await api.call('DELETE', `${w}/goals/${first}`);
    await api.call('DELETE', `${w}/goals/${second}`);
    expect(await commands()).toEqual([
      { kind: 'deactivate-stream', goalId: first },
      { kind: 'remove-stream', goalId: first },
      { kind: 'remove-stream', goalId: second },
    ]);
  });

  it('follows its connection: switched off and on, given other credentials, deleted', async () => {
    const connectionId = await connect();
    const goalId = await add(connectionId);
    await commands();
    const change = async (body: object): Promise<readonly CommandBody[]> => {
      await api.call('PATCH', `${w}/connections/${connectionId}`, body);
      return commands();
    };
    const activated = [{ kind: 'activate-stream', goalId, snapshotId: expect.any(String) }];
    expect(await change({ description: 'no matter' })).toEqual([]);
    expect(await change({ active: false })).toEqual([{ kind: 'deactivate-stream', goalId }]);
    expect(await change({ active: true })).toEqual(activated);
    expect(await change({ credentials: { kind: 'access-key', accessKeyId: 'AK2', secretAccessKey: 'new' } })).toEqual(
      activated,
    );
    expect(await change({ region: 'eu-west-1' })).toEqual(activated);
    await api.call('DELETE', `${w}/connections/${connectionId}`);
    expect(await commands()).toEqual([{ kind: 'remove-stream', goalId }]);
  });

  it('tells when it is saved whether its stream is there', async () => {
    const connectionId = await connect();
    const { body } = await api.call('POST', `${w}/connections/${connectionId}/goals`, goal());
    expect(body.check).toMatchObject({ target: 's', needs: 'stream', ok: true, shards: 1 });
    const elsewhere = await api.call('PATCH', `${w}/goals/${body.id}`, { streamName: 'nowhere' });
    expect(elsewhere.status).toBe(200);
    expect(elsewhere.body.check).toMatchObject({ ok: false, error: { code: 'stream-not-found' } });
    expect((await api.call('GET', `${w}/goals/${body.id}`)).body).not.toHaveProperty('check');
  });

  it('carries the consent objectives of its connection, and is activated again when they change', async () => {
    const connectionId = await connect();
    const goalId = await add(connectionId);
    const objectivesTold = async (): Promise<unknown> => {
      const [command] = await commands();
      if (command === undefined) return undefined;
      expect(command).toEqual({ kind: 'activate-stream', goalId, snapshotId: expect.any(String) });
      return (await loadGoalSnapshot(api.database, (command as { snapshotId: string }).snapshotId)).consentObjectives;
    };
    expect(await objectivesTold()).toEqual([]);
    const path = `${w}/connections/${connectionId}`;
    const changed = await api.call('PATCH', path, { consentObjectives: ['news', 'sms'] });
    expect(changed.body.consentObjectives).toEqual(['news', 'sms']);
    expect(await objectivesTold()).toEqual(['news', 'sms']);
    await api.call('PATCH', path, { consentObjectives: ['sms', 'news'] });
    expect(await objectivesTold()).toBeUndefined();
    await api.call('PATCH', path, { consentObjectives: [] });
    expect(await objectivesTold()).toEqual([]);
  });
});

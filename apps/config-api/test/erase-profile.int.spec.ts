import { sql } from '@millrace/database';
import { startApi, w, type Api } from './api-fixture.js';

let api: Api;
beforeAll(async () => {
  api = await startApi('erase_profile');
});
afterAll(() => api.close());

async function made(address: string): Promise<string> {
  const updates = [{ identities: [{ namespace: 'email', value: address }] }];
  const { body } = await api.call('POST', `${w}/ingestion/batches`, { batchId: address, updates });
  return body.items[0].profileId as string;
}

describe('erasing a profile', () => {
  it('leaves a tombstone and nothing else', async () => {
    const id = await made('ada@example.com');
    expect((await api.call('DELETE', `${w}/profiles/${id}`)).status).toBe(204);
    expect((await api.call('GET', `${w}/profiles/${id}`)).status).toBe(404);
    const { rowCount } = await api.database.query(sql`SELECT FROM profile.tombstone WHERE profile_id = ${id}`);
    expect(rowCount).toBe(1);
  });

  it('is refused for one that is not there, or is another workspace’s', async () => {
    const id = await made('eve@example.com');
    await api.call('POST', '/workspaces', { name: 'other' });
    expect((await api.call('DELETE', `/workspaces/other/profiles/${id}`)).status).toBe(404);
    expect((await api.call('GET', `${w}/profiles/${id}`)).status).toBe(200);
  });

  it('needs the right to write profiles', async () => {
    const id = await made('bob@example.com');
    const key = await api.newKey(['profile:read'], 'acme');
    expect((await api.call('DELETE', `${w}/profiles/${id}`, undefined, key)).status).toBe(403);
  });
});

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

describe('an item of the ingestion API that names an erased person', () => {
  let batch = 0;
  const send = async (...updates: readonly object[]): Promise<{ outcome: string; reason?: string }[]> => {
    const { body } = await api.call('POST', `${w}/ingestion/batches`, { batchId: `erased-${(batch += 1)}`, updates });
    return body.items;
  };
  const of = (address: string, more: object = {}): object => ({
    identities: [{ namespace: 'email', value: address }],
    ...more,
  });
  const order = (id: string, occurredAt: string): object => ({ type: 'order', id, occurredAt });
  /** On 15 January. */
  const erase = async (...addresses: readonly string[]): Promise<void> => {
    for (const address of addresses) {
      const id = await made(address);
      await api.call('DELETE', `${w}/profiles/${id}`);
      await api.database.query(
        sql`UPDATE profile.tombstone SET erased_at = '2026-01-15T12:00:00Z' WHERE profile_id = ${id}`,
      );
    }
  };

  it('is skipped where it says that it is older than the erasure, and says why', async () => {
    await erase('old@example.com', 'new@example.com', 'now@example.com');
    const items = await send(
      of('old@example.com', { occurredAt: '2026-01-15T12:59:59+01:00' }),
      of('new@example.com', { occurredAt: '2026-01-15T12:00:01Z' }),
      of('now@example.com'),
      of('other@example.com', { occurredAt: '2026-01-01T00:00:00Z' }),
      of('bad@example.com', { occurredAt: 'yesterday' }),
    );
    expect(items).toEqual([
      {
        index: 0,
        outcome: 'skipped',
        reason: 'the person was erased after the time of this item: only what is newer brings them back',
      },
      { index: 1, outcome: 'created', profileId: expect.any(String) },
      { index: 2, outcome: 'created', profileId: expect.any(String) },
      { index: 3, outcome: 'created', profileId: expect.any(String) },
      { index: 4, outcome: 'rejected', reason: 'occurredAt: not a timestamp' },
    ]);
    expect((await api.call('GET', `${w}/profiles?namespace=email&value=old@example.com`)).status).toBe(404);
  });

  it('is as old as its latest event where it holds nothing else', async () => {
    await erase('past@example.com', 'present@example.com', 'mixed@example.com');
    const old = order('i1', '2026-01-10T00:00:00Z');
    const items = await send(
      of('past@example.com', { events: [old, order('i2', '2026-01-12T00:00:00Z')] }),
      of('present@example.com', { events: [order('i3', '2026-01-10T00:00:00Z'), order('i4', '2026-02-01T00:00:00Z')] }),
      of('mixed@example.com', {
        events: [order('i5', '2026-01-10T00:00:00Z')],
        consent: [{ objective: 'news', granted: true }],
      }),
    );
    expect(items.map(({ outcome }) => outcome)).toEqual(['skipped', 'created', 'created']);
  });

  it('does not change who has come back, nor hold back the newer items of its batch', async () => {
    await erase('back@example.com');
    const stage = (value: string, occurredAt: string): object =>
      of('back@example.com', { occurredAt, properties: [{ property: 'permissionLevel', value }] });
    const items = await send(
      stage('old', '2026-01-01T00:00:00Z'),
      stage('new', '2026-02-01T00:00:00Z'),
      stage('older', '2025-12-01T00:00:00Z'),
    );
    expect(items.map(({ outcome }) => outcome)).toEqual(['skipped', 'created', 'skipped']);
    expect((await send(stage('late', '2026-01-02T00:00:00Z'))).map(({ outcome }) => outcome)).toEqual(['skipped']);
    const found = await api.call('GET', `${w}/profiles?namespace=email&value=back@example.com`);
    expect(found.body.properties).toEqual({ permissionLevel: 'new' });
  });
});

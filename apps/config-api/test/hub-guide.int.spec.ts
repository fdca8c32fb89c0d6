import { readFileSync } from 'node:fs';
import { s3Connection, startApi, w, type Api } from './api-fixture.js';

const guide = readFileSync(new URL('../../../docs/guides/audiences-for-a-decisioning-hub.md', import.meta.url), 'utf8');

describe('the goal in the guide to audiences for a decisioning hub', () => {
  let api: Api;

  beforeAll(async () => {
    api = await startApi('hub_guide');
  });
  afterAll(async () => {
    await api.close();
  });

  it('is taken as it stands there, and kept', async () => {
    const [, json = ''] = /^```json\n(.*?)^```$/ms.exec(guide) ?? [];
    const goal = JSON.parse(json) as object;
    const rule = { kind: 'all', rules: [] };
    const segmentId = (await api.call('POST', `${w}/segments`, { name: 'Everyone', rule })).body.id as string;
    const connection = (await api.call('POST', `${w}/connections`, s3Connection())).body.id as string;
    const saved = await api.call('POST', `${w}/connections/${connection}/goals`, { ...goal, segmentId });
    expect(saved).toMatchObject({ status: 201, body: { ...goal, segmentId } });
    expect(saved.body.warnings).toBeUndefined();
  });

  it('needs a column that says who was erased', async () => {
    const [, json = ''] = /^```json\n(.*?)^```$/ms.exec(guide) ?? [];
    const segment = (await api.call('GET', `${w}/segments`)).body.items[0].id as string;
    const connection = (await api.call('GET', `${w}/connections`)).body.items[0].id as string;
    const goal = JSON.parse(json) as { columns: object[] };
    const status = goal.columns.slice(1);
    const refused = await api.call('POST', `${w}/connections/${connection}/goals`, {
      ...goal,
      name: 'Without',
      segmentId: segment,
      columns: status,
    });
    expect(refused.status).toBe(400);
    expect(refused.body.errors).toEqual([
      { field: 'tombstones', message: expect.stringContaining('says who it is') as string },
    ]);
  });
});

import { sql } from '@millrace/database';
import { exportGoal, importGoal, s3Connection, startApi, w, type Api } from './api-fixture.js';

describe('what is deleted', () => {
  let api: Api;

  beforeAll(async () => {
    api = await startApi('deleted_goals');
  });

  afterAll(async () => {
    await api.close();
  });

  const made = async (path: string, body: object): Promise<string> => {
    const { status, body: answer } = await api.call('POST', `${w}/${path}`, body);
    expect(status).toBe(201);
    return (answer as { id: string }).id;
  };
  const segment = (name: string): Promise<string> => made('segments', { name, rule: { kind: 'all', rules: [] } });
  const label = async (kind: string, name: string): Promise<void> => {
    const { status } = await api.call('PUT', `${w}/labels`, { kind, name, labels: ['C1'] });
    expect(status).toBe(200);
  };
  const labelled = async (): Promise<readonly string[]> =>
    (await api.call('GET', `${w}/labels`)).body.items.map(({ name }: { name: string }) => name);
  const forgotten = async (): Promise<readonly string[]> => {
    const { rows } = await api.database.query<{ goal_id: string }>(
      sql`SELECT goal_id FROM work.command WHERE kind = 'forget-export' ORDER BY id`,
    );
    return rows.map((row) => row.goal_id);
  };

  it('leaves no labels, and the exporter is told of each export goal, also of those that go with their connection', async () => {
    const connection = await made('connections', s3Connection({ name: 'one' }));
    const everyone = await segment('Everyone');
    const first = await made(`connections/${connection}/goals`, exportGoal(everyone));
    const second = await made(`connections/${connection}/goals`, { ...exportGoal(everyone), name: 'Another' });
    const imports = await made(`connections/${connection}/goals`, importGoal());
    const alone = await segment('Alone');
    await label('segment', alone);
    await label('segment', everyone);
    await label('import-goal', imports);
    expect([...(await labelled())].sort()).toEqual([alone, everyone, imports].sort());

    expect((await api.call('DELETE', `${w}/segments/${alone}`)).status).toBe(204);
    expect((await api.call('DELETE', `${w}/goals/${first}`)).status).toBe(204);
    expect(await forgotten()).toEqual([first]);
    expect([...(await labelled())].sort()).toEqual([everyone, imports].sort());
    expect((await api.call('DELETE', `${w}/connections/${connection}`)).status).toBe(204);
    expect(await forgotten()).toEqual([first, second]);
    expect(await labelled()).toEqual([everyone]);
  });
});

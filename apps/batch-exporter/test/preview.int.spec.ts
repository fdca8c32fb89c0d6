import { randomUUID } from 'node:crypto';
import { Database, sql } from '@millrace/database';
import { exportPreview, type ExportPreview, exportProfilesGoal } from '@millrace/domain';
import { previewExport } from '../src/preview-export/preview-export.js';
import { ExportFixture } from './export-fixture.js';

describe('the preview of an export', () => {
  let fixture: ExportFixture;
  let ids: readonly string[];
  const goalId = randomUUID();

  beforeAll(async () => {
    fixture = await ExportFixture.create('preview');
    ids = await fixture.addProfiles([
      ...Array.from({ length: 30 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
      { email: 'pointless@x.test' },
      { 'person.name': 'No Mail' },
    ]);
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const goal = (): Readonly<Record<string, unknown>> =>
    fixture.goal({ mandatory: ['points'], csv: { delimiter: ';', quotePolicy: 'all' } });
  const preview = async (given = goal()): Promise<ExportPreview> =>
    exportPreview.parse(
      await previewExport(
        fixture.database,
        {
          workspaceId: fixture.workspaceId,
          goalId,
          goal: exportProfilesGoal.parse(given),
          consentObjectives: [],
        },
        () => new Uint8Array(32),
      ),
    );

  it('tells who would be exported and who not, with the first rows as they would stand in the file', async () => {
    const { rows, text, ...told } = await preview();
    expect(told).toEqual({
      mode: 'full',
      reason: 'no export of this goal has been delivered before',
      members: 32,
      eligible: 30,
      due: 30,
      withheld: 2,
      withheldBy: { 'no-mapped-value': 1, 'missing:points': 1 },
      warnings: ['no column says who is in the segment: the files of changes cannot tell who left it'],
      headers: ['E-mail', 'Points'],
    });
    expect(rows).toHaveLength(10);
    expect(text).toBe(
      ['"E-mail";"Points"', ...rows.map((fields) => fields.map((field) => `"${field}"`).join(';')), ''].join('\n'),
    );
  });

  it('shows what processors make of the rows', async () => {
    const processors = [
      { kind: 'filter', column: 'Points', action: 'keep', test: { op: 'less', value: '3' } },
      { kind: 'concatenate', columns: ['Points', 'E-mail'], separator: ':', into: 'both' },
    ];
    const { rows, headers, text } = await preview(fixture.goal({ mode: 'full', mandatory: ['points'], processors }));
    expect(headers).toEqual(['E-mail', 'Points', 'both']);
    for (const [mail, points, both] of rows) expect(both).toBe(`${points}:${mail}`);
    expect(rows.every(([, points]) => Number(points) < 3)).toBe(true);
    expect(text.split('\n')[0]).toBe('E-mail,Points,both');
  });

  it('needs one session at a time, so that many at once only wait', async () => {
    const one = new Database({ url: fixture.testDatabase.url, applicationName: 'test-preview', maxConnections: 1 });
    const order = {
      workspaceId: fixture.workspaceId,
      goalId,
      goal: exportProfilesGoal.parse(goal()),
      consentObjectives: [],
    };
    const previews = await Promise.all([1, 2, 3].map(() => previewExport(one, order, () => new Uint8Array(32))));
    expect(previews.map(({ due }) => due)).toEqual([30, 30, 30]);
    await one.end();
  });

  it('agrees with the run it looks ahead to, and moves nothing', async () => {
    await preview();
    expect((await fixture.run(goalId, goal())).counts).toMatchObject({ mode: 'full', rows: 30, withheld: 2 });
    expect(await preview()).toMatchObject({ mode: 'delta', eligible: 30, touched: 0, due: 0, withheld: 0, rows: [] });
    await fixture.setProperty(ids[3] ?? '', 'points', 333);
    const told = { mode: 'delta', members: 32, touched: 1, due: 1 };
    expect(await preview()).toMatchObject({ ...told, rows: [['user3@x.test', '333']] });
    expect((await fixture.run(goalId, goal())).counts).toMatchObject({ ...told, rows: 1 });
  });

  it('shows nobody of an empty selection, whatever the goal does then', async () => {
    await fixture.database.query(sql`UPDATE profile.membership SET status = 'exited'`);
    expect(await preview(fixture.goal({ mode: 'full', emptyResult: 'fail' }))).toMatchObject({
      members: 0,
      due: 0,
      rows: [],
    });
    await fixture.database.query(sql`UPDATE profile.membership SET status = 'realized'`);
  });

  it('says what is wrong with a goal that does not fit the workspace', async () => {
    await expect(preview(fixture.goal({ mandatory: ['shoeSize'] }))).rejects.toMatchObject({
      code: 'property-unknown',
      at: 'mandatory[0]',
    });
  });
});

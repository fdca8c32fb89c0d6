import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { removeExpiredExports } from '../src/storage/retention.js';
import { ExportFixture } from './export-fixture.js';

describe('exports whose time has passed', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('retention');
    await fixture.addProfiles([{ email: 'a@x.test', points: 1 }]);
    fixture.startWorker();
  });

  afterAll(async () => {
    await fixture.close();
  });

  const goal = (): Readonly<Record<string, unknown>> =>
    fixture.goal({ fileName: randomUUID(), deduplicate: { by: 'properties', properties: ['email'] } });

  const rows = async (table: string): Promise<number> =>
    (await fixture.database.query<{ rows: number }>(sql`SELECT count(*)::int AS rows FROM exporter.${sql.id(table)}`))
      .rows[0]?.rows ?? -1;

  it('go with their files, those under way stay, and a watermark goes only after its own time', async () => {
    const [old, recent] = [randomUUID(), randomUUID()];
    await fixture.run(old, goal());
    await fixture.run(recent, goal());
    await fixture.database.query(sql`
      UPDATE exporter.export SET updated_at = now() - interval '91 days' WHERE goal_id = ${old}`);
    await fixture.stopWorkers();
    const { runId } = await fixture.open(old, goal());
    await fixture.database.query(sql`
      INSERT INTO exporter.export (run_id, goal_id, snapshot_id, state, plan, updated_at)
      SELECT ${runId}, goal_id, snapshot_id, 'parts', plan, now() - interval '91 days' FROM exporter.export WHERE goal_id = ${old}`);
    const retention = { exportDays: 90, watermarkDays: 400 };
    expect(await removeExpiredExports(fixture.database, retention)).toBe(1);
    expect(await removeExpiredExports(fixture.database, retention)).toBe(0);
    const { rows: left } = await fixture.database.query<{ goal_id: string; state: string }>(
      sql`SELECT goal_id, state FROM exporter.export ORDER BY state`,
    );
    expect(left).toEqual([
      { goal_id: recent, state: 'done' },
      { goal_id: old, state: 'parts' },
    ]);
    expect([await rows('part'), await rows('watermark'), await rows('delivered')]).toEqual([1, 2, 2]);
    await fixture.database.query(sql`
      UPDATE exporter.watermark SET at = now() - interval '401 days' WHERE goal_id = ${old}`);
    await removeExpiredExports(fixture.database, retention);
    expect([await rows('watermark'), await rows('delivered')]).toEqual([1, 1]);
  });
});

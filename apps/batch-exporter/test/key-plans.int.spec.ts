import { randomUUID } from 'node:crypto';
import { sql } from '@millrace/database';
import { exportProfilesGoal } from '@millrace/domain';
import { eraseProfiles, loadCatalogue } from '@millrace/profile-store';
import { countSelection, selectAudiences } from '../src/plan-export/plan-export.js';
import { tuneSelection } from '../src/storage/selection-settings.js';
import { ExportFixture } from './export-fixture.js';

const people = 100_000;
const changed = 200;

interface PlanNode {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** Rows a plan has read of each table, kept or not. */
function rowsRead(node: PlanNode, read = new Map<string, number>()): ReadonlyMap<string, number> {
  const table = node['Relation Name']?.replace(/_p\d$/, '');
  if (table !== undefined) {
    const rows =
      node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
    read.set(table, (read.get(table) ?? 0) + rows * node['Actual Loops']);
  }
  for (const child of node.Plans ?? []) rowsRead(child, read);
  return read;
}

describe('a delta by key, of few changes among many', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('key_plans');
    await fixture.database.query(sql`
      WITH made AS (
        INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
        SELECT uuidv7(), ${fixture.workspaceId}, (SELECT id FROM profile.domain_group WHERE workspace_id = ${fixture.workspaceId}),
          jsonb_build_object('email', 'u' || n / 2 || '@x.test', 'points', n), 1
        FROM generate_series(1, ${people}::int) AS n RETURNING id
      )
      INSERT INTO profile.membership (profile_id, segment_id, status) SELECT id, ${fixture.segmentId}, 'realized' FROM made`);
    fixture.startWorker();
  }, 120_000);

  afterAll(async () => {
    await fixture.close();
  });

  it('reads who has the touched keys, and nobody else', async () => {
    const goalId = randomUUID();
    const goal = fixture.goal({
      fileName: '%DATETIME%',
      columns: [
        { header: 'mail', source: { kind: 'property', property: 'email' } },
        { header: 'status', source: { kind: 'membership-status' } },
      ],
      deduplicate: { by: 'properties', properties: ['email'] },
    });
    const full = await fixture.run(goalId, goal);
    expect(full.counts).toMatchObject({ mode: 'full', rows: people / 2 + 1 });
    await fixture.database.query(sql`ANALYZE`);
    await fixture.database.query(sql`
      UPDATE profile.profile SET properties = properties || jsonb_build_object('email', 'new' || (properties->>'points') || '@x.test'),
        version = version + 1, changed_xid = pg_current_xact_id() WHERE (properties->>'points')::int <= ${changed}::int`);
    await fixture.database.transaction((tx) =>
      eraseProfiles(
        tx,
        fixture.workspaceId,
        sql`SELECT id FROM profile.profile WHERE (properties->>'points')::int BETWEEN 1001 AND 1010`,
      ),
    );
    const { rows: watermarks } = await fixture.database.query<{ since: string }>(
      sql`SELECT snapshot::text AS since FROM exporter.watermark WHERE goal_id = ${goalId}`,
    );
    const read = await fixture.database.transaction(async (tx) => {
      const catalogue = await loadCatalogue(tx, fixture.workspaceId);
      const [audience] = selectAudiences(
        goalId,
        exportProfilesGoal.parse(goal),
        { consentObjectives: [] },
        catalogue,
        watermarks[0]?.since,
      );
      if (audience === undefined) throw new Error('a goal has an audience');
      const { access } = await countSelection(tx, audience.selection);
      expect(access).toBe('lookup');
      await tuneSelection(tx, access);
      const { rows } = await tx.query<{ 'QUERY PLAN': string }>(
        sql`EXPLAIN (ANALYZE, FORMAT JSON) ${audience.selection.numbered}`,
      );
      const [explained] = JSON.parse(rows[0]?.['QUERY PLAN'] ?? '[]') as { Plan: PlanNode }[];
      if (explained === undefined) throw new Error('no plan');
      return rowsRead(explained.Plan);
    });
    // Each touched key has at most two people: they are found, judged, and the winner's row is looked up again.
    for (const table of ['profile', 'membership', 'delivered']) expect(read.get(table) ?? 0).toBeLessThan(10 * changed);
    expect(read.get('profile')).toBeGreaterThan(changed);
    const delta = await fixture.run(goalId, goal);
    expect(delta.counts).toMatchObject({ mode: 'delta', touched: changed + 10 });
  }, 180_000);
});

import { sql } from '@millrace/database';
import { tuneForOrder, tuneSelection } from '../src/storage/selection-settings.js';
import { ExportFixture } from './export-fixture.js';

const people = 4000;

describe('a full export of a segment', () => {
  let fixture: ExportFixture;

  beforeAll(async () => {
    fixture = await ExportFixture.create('read_in_order');
  });

  afterAll(async () => {
    await fixture.close();
  });

  /** Whether the planner may build hash tables of members, profiles lying in the order of their ids, or by chance. */
  async function mayHash(place: 'ids' | 'chance'): Promise<boolean> {
    await fixture.database.query(sql`DELETE FROM profile.profile WHERE workspace_id = ${fixture.workspaceId}`);
    await fixture.database.query(sql`
      INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
      SELECT ('01890000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, ${fixture.workspaceId},
        (SELECT id FROM profile.domain_group WHERE workspace_id = ${fixture.workspaceId}), '{}', 1
      FROM generate_series(1, ${people}::int) AS n ORDER BY ${place === 'ids' ? sql`n` : sql`md5(n::text)`}`);
    await fixture.database.query(sql`ANALYZE profile.profile`);
    return await fixture.database.transaction(async (tx) => {
      await tuneSelection(tx, 'scan');
      await tuneForOrder(tx);
      const { rows } = await tx.query<{ hashjoin: string }>(sql`SELECT current_setting('enable_hashjoin') AS hashjoin`);
      return rows[0]?.hashjoin === 'on';
    });
  }

  it('merges where profiles lie in the order of their ids, and hashes where they do not', async () => {
    expect(await mayHash('ids')).toBe(false);
    expect(await mayHash('chance')).toBe(true);
  });
});

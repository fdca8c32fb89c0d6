import { sql, type Database } from '@millrace/database';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { createTouched } from './touched.js';
import { evaluateSegments } from './evaluate-segments.js';
import { writeOutbox } from './write-outbox.js';

const sliceProfiles = 1_000;

/**
 * Evaluates the memberships that the passing of time may have changed, one slice of one workspace at a time.
 * Returns whether anything was due. Two processes doing the same slice do no harm: the second finds no difference.
 */
export async function checkTimers(database: Database): Promise<boolean> {
  const due = await database.query<{ workspace_id: number; ids: string[] }>(sql`
    SELECT p.workspace_id, array_agg(p.id ORDER BY p.id) AS ids
    FROM (SELECT DISTINCT profile_id FROM (
      SELECT profile_id FROM profile.membership_timer WHERE check_at <= now() ORDER BY check_at LIMIT ${sliceProfiles}) first) t
    JOIN profile.profile p ON p.id = t.profile_id
    GROUP BY p.workspace_id`);
  for (const { workspace_id: workspaceId, ids } of due.rows) {
    await database.transaction(async (tx) => {
      await lockDefinitions(tx, workspaceId, 'shared');
      await tx.query(
        sql`SELECT FROM profile.profile p WHERE p.id = ANY (${ids}::uuid[]) ORDER BY p.id FOR NO KEY UPDATE`,
      );
      await createTouched(tx);
      await tx.query(
        sql`INSERT INTO touched (profile_id, outcome, version) SELECT id, 'n', version FROM profile.profile WHERE id = ANY (${ids}::uuid[])`,
      );
      await evaluateSegments(tx, await loadCatalogue(tx, workspaceId));
      await writeOutbox(tx, workspaceId, (await streamedProperties(tx, workspaceId)) !== undefined);
    });
  }
  return due.rows.length > 0;
}

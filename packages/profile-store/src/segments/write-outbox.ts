import { sql, type Transaction } from '@millrace/database';
import { byIndex } from '../profiles/by-index.js';
import { nextVersion } from '../profiles/version.js';

/**
 * One outbox row per touched profile that a stream goal may care about, from `touched` and `segment_change`.
 * A membership change alone raises the profile's version too: what the stream shows has changed.
 */
export async function writeOutbox(tx: Transaction, workspaceId: number, streaming: boolean): Promise<void> {
  const raise = sql`
    WITH flipped AS MATERIALIZED (
      SELECT profile_id FROM segment_change WHERE EXISTS (SELECT FROM touched WHERE outcome = 'n')
    ), moved AS (
      UPDATE profile.profile p SET version = ${nextVersion}
      FROM flipped f JOIN touched t USING (profile_id)
      WHERE p.id = t.profile_id AND t.outcome = 'n'
      RETURNING p.id, p.version
    )
    UPDATE touched t SET version = moved.version FROM moved WHERE moved.id = t.profile_id`;
  await byIndex(tx, () => tx.query(raise));
  if (!streaming) return;
  await tx.query(sql`
    INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed, segments, identities, consent)
    SELECT profile.lane(t.profile_id), ${workspaceId}::int, t.profile_id, t.version, t.written, t.changed,
      coalesce(c.segments, '{}'), t.identities, t.consent
    FROM touched t LEFT JOIN segment_change c USING (profile_id)
    WHERE c.segments IS NOT NULL OR t.identities OR t.consent OR t.written <> '{}'`);
}

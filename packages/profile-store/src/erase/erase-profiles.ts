import { sql, type Sql, type Transaction } from '@millrace/database';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { leaveLastWords } from './last-words.js';

const belongings = [
  'identity',
  'consent',
  'event',
  'group_member',
  'membership',
  'membership_build',
  'membership_timer',
];

/**
 * Erases profiles and everything that hangs on them, in sets, inside the caller's transaction. A tombstone stays: the
 * profile's id, its last version and hashes of its identities under the store's own key, which tell a person who returns
 * from one who never was here without saying who it was. Where a stream listens, the outbox tells that they are gone
 * and holds, until it is sent, by which identities and segments a receiver knows them; for exports that must tell their receivers
 * these are left sealed, until they are delivered.
 * Takes locks in every writer's order: definitions, profiles by id; whoever also adds identities does so before.
 * @param chosen a query of profile ids; those that are no more, or of another workspace, are passed over
 * @returns how many were erased
 */
export async function eraseProfiles(tx: Transaction, workspaceId: number, chosen: Sql): Promise<number> {
  await lockDefinitions(tx, workspaceId, 'shared');
  await tx.query(sql`DROP TABLE IF EXISTS erasing`);
  await tx.query(
    sql`CREATE TEMP TABLE erasing (profile_id uuid PRIMARY KEY, domain_group_id int NOT NULL, version bigint NOT NULL) ON COMMIT DROP`,
  );
  const { rowCount } = await tx.query(sql`
    WITH locked AS MATERIALIZED (
      SELECT p.id, p.domain_group_id, p.version FROM profile.profile p
      WHERE p.workspace_id = ${workspaceId}::int AND p.id IN (${chosen})
      ORDER BY p.id FOR UPDATE OF p
    )
    INSERT INTO erasing
    SELECT id, domain_group_id, greatest(locked.version + 1, (store.epoch::bigint << 40) + 1) FROM locked CROSS JOIN profile.store`);
  if (rowCount === 0) return 0;
  await tx.query(sql`ANALYZE erasing`);
  await tx.query(sql`
    INSERT INTO profile.tombstone (profile_id, workspace_id, domain_group_id, version, identity_hashes, segment_ids)
    SELECT e.profile_id, ${workspaceId}::int, e.domain_group_id, e.version, ARRAY(
      SELECT profile.identity_hash(store.tombstone_key, i.namespace_id, i.value)
      FROM profile.identity i CROSS JOIN profile.store WHERE i.profile_id = e.profile_id ORDER BY 1),
      ARRAY(SELECT m.segment_id FROM profile.membership m WHERE m.profile_id = e.profile_id ORDER BY 1)
    FROM erasing e`);
  await leaveLastWords(tx, workspaceId);
  if ((await streamedProperties(tx, workspaceId)) !== undefined) {
    await tx.query(sql`
      INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, segments, identities, erased)
      SELECT profile.lane(e.profile_id), ${workspaceId}::int, e.profile_id, e.version,
        ARRAY(SELECT m.segment_id FROM profile.membership m WHERE m.profile_id = e.profile_id AND m.status = 'realized'), true,
        jsonb_build_object(
          'version', e.version::text,
          'identities', (SELECT coalesce(jsonb_agg(jsonb_build_array(i.namespace_id, i.value) ORDER BY i.namespace_id, i.value COLLATE "C"), '[]')
            FROM profile.identity i WHERE i.profile_id = e.profile_id),
          'memberships', (SELECT coalesce(jsonb_agg(jsonb_build_array(m.segment_id, CASE m.status WHEN 'realized' THEN '+' ELSE '-' END,
              trunc(date_part('epoch', m.qualified_at) * 1000 + 0.0005)::bigint) ORDER BY m.segment_id), '[]')
            FROM profile.membership m WHERE m.profile_id = e.profile_id))
      FROM erasing e`);
  }
  for (const table of belongings)
    await tx.query(sql`DELETE FROM ${sql.id('profile', table)} AS t USING erasing e WHERE t.profile_id = e.profile_id`);
  await tx.query(sql`DELETE FROM profile.profile AS p USING erasing e WHERE p.id = e.profile_id`);
  return rowCount;
}

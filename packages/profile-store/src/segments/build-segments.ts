import { sql, type Database, type Transaction } from '@millrace/database';
import { compileSegment } from '@millrace/mapping';
import type { SegmentRule } from '@millrace/domain';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { byIndex } from '../profiles/by-index.js';
import { createSegmentChange, createTouched } from './touched.js';
import { writeOutbox } from './write-outbox.js';

const sliceProfiles = 5_000;

interface PendingVersion {
  readonly segment_id: string;
  readonly version: number;
  readonly workspace_id: number;
}

/**
 * Does one slice of one segment version under construction, or its final switch. Several processes may call it at once:
 * each takes a version nobody else holds. Returns whether work was found, so that callers go on until it is false.
 */
export async function buildSegments(database: Database): Promise<boolean> {
  const pending = await database.query<PendingVersion>(sql`
    SELECT v.segment_id, v.version, s.workspace_id FROM profile.segment_version v JOIN profile.segment s ON s.id = v.segment_id
    WHERE v.state = 'building' ORDER BY v.created_at LIMIT 20`);
  for (const version of pending.rows) {
    const slice = await buildSlice(database, version);
    if (slice === 'built') return true;
    if (slice === 'complete') {
      await switchVersion(database, version);
      return true;
    }
  }
  return false;
}

async function takeVersion(
  tx: Transaction,
  { segment_id, version }: PendingVersion,
): Promise<{ rule: SegmentRule; through: string | null } | undefined> {
  const { rows } = await tx.query<{ rule: string; built_through: string | null }>(sql`
    SELECT rule, built_through FROM profile.segment_version
    WHERE segment_id = ${segment_id}::uuid AND version = ${version} AND state = 'building' FOR UPDATE SKIP LOCKED`);
  const row = rows[0];
  return row === undefined ? undefined : { rule: JSON.parse(row.rule) as SegmentRule, through: row.built_through };
}

async function buildSlice(database: Database, pending: PendingVersion): Promise<'built' | 'complete' | 'busy'> {
  return database.transaction(async (tx) => {
    await lockDefinitions(tx, pending.workspace_id, 'shared');
    const taken = await takeVersion(tx, pending);
    if (taken === undefined) return 'busy';
    // Locked first, evaluated in a later statement: a writer's uncommitted change is waited for, never overwritten.
    await tx.query(sql`
      CREATE TEMP TABLE slice ON COMMIT DROP AS
      SELECT p.id FROM profile.profile p
      WHERE p.workspace_id = ${sql.integer(pending.workspace_id)}
        AND p.id > ${sql.literal(taken.through ?? '00000000-0000-0000-0000-000000000000')}::uuid
      ORDER BY p.id LIMIT ${sql.integer(sliceProfiles)}`);
    const lock = sql`SELECT FROM profile.profile p JOIN slice USING (id) ORDER BY p.id FOR NO KEY UPDATE OF p`;
    await byIndex(tx, () => tx.query(lock));
    const { condition, nextCheck } = compileSegment(taken.rule, await loadCatalogue(tx, pending.workspace_id));
    const build = sql`
      INSERT INTO profile.membership_build (profile_id, segment_id, realized, check_at)
      SELECT p.id, ${pending.segment_id}::uuid, ${condition}, ${nextCheck ?? sql`NULL::timestamptz`}
      FROM profile.profile p JOIN slice USING (id)
      ON CONFLICT (segment_id, profile_id) DO UPDATE SET realized = excluded.realized, check_at = excluded.check_at`;
    const { rowCount } = await byIndex(tx, () => tx.query(build));
    if (rowCount === 0) return 'complete';
    await tx.query(sql`
      UPDATE profile.segment_version SET built_through = (SELECT id FROM slice ORDER BY id DESC LIMIT 1)
      WHERE segment_id = ${pending.segment_id}::uuid AND version = ${pending.version}`);
    return 'built';
  });
}

/** Puts the built version in force: memberships, timers, outbox and state change in one commit. */
async function switchVersion(database: Database, pending: PendingVersion): Promise<void> {
  // Filled and emptied with each build: by old statistics the join below would be planned for a handful of rows.
  await database.query(sql`ANALYZE profile.membership_build`);
  await database.transaction(async (tx) => {
    await lockDefinitions(tx, pending.workspace_id, 'exclusive');
    const taken = await takeVersion(tx, pending);
    if (taken === undefined) return;
    const segment = sql`${pending.segment_id}::uuid`;
    await createTouched(tx);
    await createSegmentChange(tx);
    await tx.query(sql`
      WITH written AS (
        INSERT INTO profile.membership (profile_id, segment_id, status)
        SELECT b.profile_id, b.segment_id, CASE WHEN b.realized THEN 'realized' ELSE 'exited' END
        FROM profile.membership_build b
        LEFT JOIN profile.membership known ON known.profile_id = b.profile_id AND known.segment_id = b.segment_id
        WHERE b.segment_id = ${segment} AND b.realized IS DISTINCT FROM coalesce(known.status = 'realized', false)
        ORDER BY b.profile_id
        ON CONFLICT (profile_id, segment_id) DO UPDATE
          SET status = excluded.status, qualified_at = now(), updated_at = now(), changed_xid = pg_current_xact_id()
        RETURNING profile_id, segment_id
      )
      INSERT INTO segment_change SELECT profile_id, ARRAY[segment_id] FROM written`);
    await tx.query(sql`
      INSERT INTO touched (profile_id, outcome, version)
      SELECT p.id, 'n', p.version FROM profile.profile p JOIN segment_change c ON c.profile_id = p.id`);
    // As they stood when each profile was evaluated: what time has changed since is due at once, not lost.
    await tx.query(sql`DELETE FROM profile.membership_timer WHERE segment_id = ${segment}`);
    await tx.query(sql`
      INSERT INTO profile.membership_timer (profile_id, segment_id, check_at)
      SELECT profile_id, segment_id, check_at FROM profile.membership_build WHERE segment_id = ${segment} AND check_at IS NOT NULL`);
    await writeOutbox(tx, pending.workspace_id, (await streamedProperties(tx, pending.workspace_id)) !== undefined);
    await tx.query(
      sql`UPDATE profile.segment_version SET state = 'retired' WHERE segment_id = ${segment} AND state = 'current'`,
    );
    await tx.query(
      sql`UPDATE profile.segment_version SET state = 'current' WHERE segment_id = ${segment} AND version = ${pending.version}`,
    );
    await tx.query(
      sql`UPDATE profile.segment SET current_version = ${pending.version}, updated_at = now() WHERE id = ${segment}`,
    );
    await tx.query(sql`DELETE FROM profile.membership_build WHERE segment_id = ${segment}`);
  });
}

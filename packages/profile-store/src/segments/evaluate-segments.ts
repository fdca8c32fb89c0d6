import { sql, type Sql, type Transaction } from '@millrace/database';
import { compileSegment, type Catalogue, type SegmentCondition } from '@millrace/mapping';
import { byIndex } from '../profiles/by-index.js';
import { createSegmentChange } from './touched.js';

interface CompiledVersion extends SegmentCondition {
  readonly segmentId: string;
}

function compileVersions(catalogue: Catalogue, state: 'current' | 'building'): readonly CompiledVersion[] {
  return [...catalogue.segments.values()].flatMap((segment) =>
    segment.versions
      .filter((version) => version.state === state)
      .map((version) => ({ segmentId: segment.id, ...compileSegment(version.rule, catalogue) })),
  );
}

function conditions(versions: readonly CompiledVersion[]): Sql {
  return sql.join(versions.map(({ segmentId, condition }) => sql`(${segmentId}::uuid, ${condition})`));
}

function timedConditions(versions: readonly CompiledVersion[]): Sql {
  return sql.join(
    versions.map(
      ({ segmentId, condition, nextCheck }) =>
        sql`(${segmentId}::uuid, ${condition}, ${nextCheck ?? sql`NULL`}::timestamptz)`,
    ),
  );
}

/**
 * Evaluates every segment for the profiles in `touched`, writes the differences to memberships, and leaves the changes
 * in a temporary table `segment_change`. Must be a later statement than the writes it looks at, with the profiles locked:
 * otherwise two writers that each add one order would leave a "two orders" segment empty.
 */
export async function evaluateSegments(tx: Transaction, catalogue: Catalogue): Promise<void> {
  await byIndex(tx, () => evaluate(tx, catalogue));
}

async function evaluate(tx: Transaction, catalogue: Catalogue): Promise<void> {
  await createSegmentChange(tx);
  const current = compileVersions(catalogue, 'current');
  if (current.length > 0) {
    await tx.query(sql`
      WITH written AS (
        INSERT INTO profile.membership AS m (profile_id, segment_id, status)
        SELECT e.profile_id, e.segment_id, CASE WHEN e.realized THEN 'realized' ELSE 'exited' END
        FROM (
          SELECT p.id AS profile_id, v.segment_id, v.realized
          FROM touched t JOIN profile.profile p ON p.id = t.profile_id
          CROSS JOIN LATERAL (VALUES ${conditions(current)}) AS v (segment_id, realized)
          WHERE t.outcome <> 'c' OR v.realized
        ) e
        LEFT JOIN profile.membership known ON known.profile_id = e.profile_id AND known.segment_id = e.segment_id
        WHERE e.realized IS DISTINCT FROM coalesce(known.status = 'realized', false)
        ON CONFLICT (profile_id, segment_id) DO UPDATE
          SET status = excluded.status, qualified_at = now(), updated_at = now(), changed_xid = pg_current_xact_id()
        RETURNING m.profile_id, m.segment_id
      )
      INSERT INTO segment_change SELECT profile_id, segment_id FROM written`);
    await keepTimers(tx, current);
  }
  const building = compileVersions(catalogue, 'building');
  if (building.length > 0) {
    await tx.query(sql`
      INSERT INTO profile.membership_build AS b (profile_id, segment_id, realized, check_at)
      SELECT p.id, v.segment_id, v.realized, v.check_at
      FROM touched t JOIN profile.profile p ON p.id = t.profile_id
      CROSS JOIN LATERAL (VALUES ${timedConditions(building)}) AS v (segment_id, realized, check_at)
      ON CONFLICT (segment_id, profile_id) DO UPDATE SET realized = excluded.realized, check_at = excluded.check_at
        WHERE (b.realized, b.check_at) IS DISTINCT FROM (excluded.realized, excluded.check_at)`);
  }
}

async function keepTimers(tx: Transaction, versions: readonly CompiledVersion[]): Promise<void> {
  const timed = versions.flatMap(({ segmentId, nextCheck }) =>
    nextCheck === undefined ? [] : [sql`(${segmentId}::uuid, ${nextCheck})`],
  );
  if (timed.length === 0) return;
  await tx.query(sql`
    WITH due AS MATERIALIZED (
      SELECT p.id AS profile_id, v.segment_id, v.check_at
      FROM touched t JOIN profile.profile p ON p.id = t.profile_id
      CROSS JOIN LATERAL (VALUES ${sql.join(timed)}) AS v (segment_id, check_at)
    ), ended AS (
      DELETE FROM profile.membership_timer m USING due
      WHERE due.check_at IS NULL AND m.profile_id = due.profile_id AND m.segment_id = due.segment_id
    )
    INSERT INTO profile.membership_timer (profile_id, segment_id, check_at)
    SELECT profile_id, segment_id, check_at FROM due WHERE check_at IS NOT NULL
    ON CONFLICT (profile_id, segment_id) DO UPDATE SET check_at = excluded.check_at
      WHERE profile.membership_timer.check_at <> excluded.check_at`);
}

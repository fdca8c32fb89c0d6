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

function segmentIds(versions: readonly CompiledVersion[]): Sql {
  return sql`ARRAY[${sql.join(versions.map(({ segmentId }) => sql`${segmentId}::uuid`))}]`;
}

function checksOf(versions: readonly CompiledVersion[]): Sql {
  return sql`ARRAY[${sql.join(versions.map(({ nextCheck }) => nextCheck ?? sql`NULL`))}]::timestamptz[]`;
}

// OFFSET 0 keeps this a look-up by key: a join may be planned as a walk through all profiles, by their index if need be.
const touchedProfiles = sql`touched t CROSS JOIN LATERAL (SELECT * FROM profile.profile p WHERE p.id = t.profile_id OFFSET 0) AS p`;

// Not VALUES: PostgreSQL would prepare every condition anew for every profile.
function realizedOf(versions: readonly CompiledVersion[]): Sql {
  const each = versions.map(({ segmentId, condition }) => sql`CASE WHEN ${condition} THEN ${segmentId}::uuid END`);
  return sql`array_remove(ARRAY[${sql.join(each)}], NULL)`;
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
    // Both arrays are in the order of the segments' ids. A profile created just now has no memberships yet.
    await tx.query(sql`
      WITH evaluated AS MATERIALIZED (
        SELECT p.id AS profile_id, t.outcome = 'c' AS is_new, ${realizedOf(current)} AS realized
        FROM ${touchedProfiles}
      ), entered AS (
        INSERT INTO profile.membership (profile_id, segment_id, status)
        SELECT profile_id, unnest(realized), 'realized' FROM evaluated WHERE is_new
      ), compared AS (
        SELECT e.profile_id, e.realized, ARRAY(
          SELECT m.segment_id FROM profile.membership m
          WHERE m.profile_id = e.profile_id AND m.status = 'realized' AND m.segment_id = ANY (${segmentIds(current)})
          ORDER BY m.segment_id) AS present
        FROM evaluated e WHERE NOT e.is_new OFFSET 0
      ), written AS (
        INSERT INTO profile.membership AS m (profile_id, segment_id, status)
        SELECT c.profile_id, d.segment_id, d.status
        FROM compared c CROSS JOIN LATERAL (
          SELECT id AS segment_id, 'realized' AS status FROM unnest(c.realized) AS id WHERE id <> ALL (c.present)
          UNION ALL
          SELECT id, 'exited' FROM unnest(c.present) AS id WHERE id <> ALL (c.realized)
        ) d
        WHERE c.realized <> c.present
        ON CONFLICT (profile_id, segment_id) DO UPDATE
          SET status = excluded.status, qualified_at = now(), updated_at = now(), changed_xid = pg_current_xact_id()
        RETURNING m.profile_id, m.segment_id
      )
      INSERT INTO segment_change
      SELECT profile_id, realized FROM evaluated WHERE is_new AND realized <> '{}'
      UNION ALL
      SELECT profile_id, array_agg(segment_id) FROM written GROUP BY profile_id`);
    await keepTimers(tx, current);
  }
  const building = compileVersions(catalogue, 'building');
  if (building.length > 0) {
    await tx.query(sql`
      INSERT INTO profile.membership_build AS b (profile_id, segment_id, realized, check_at)
      SELECT p.id, v.segment_id, v.realized, v.check_at
      FROM ${touchedProfiles}
      CROSS JOIN LATERAL unnest(
        ${segmentIds(building)}, ARRAY[${sql.join(building.map(({ condition }) => condition))}], ${checksOf(building)}
      ) AS v (segment_id, realized, check_at)
      ON CONFLICT (segment_id, profile_id) DO UPDATE SET realized = excluded.realized, check_at = excluded.check_at
        WHERE (b.realized, b.check_at) IS DISTINCT FROM (excluded.realized, excluded.check_at)`);
  }
}

async function keepTimers(tx: Transaction, versions: readonly CompiledVersion[]): Promise<void> {
  const timed = versions.filter(({ nextCheck }) => nextCheck !== undefined);
  if (timed.length === 0) return;
  await tx.query(sql`
    WITH due AS MATERIALIZED (
      SELECT p.id AS profile_id, v.segment_id, v.check_at
      FROM ${touchedProfiles}
      CROSS JOIN LATERAL unnest(${segmentIds(timed)}, ${checksOf(timed)}) AS v (segment_id, check_at)
    ), ended AS (
      DELETE FROM profile.membership_timer m USING due
      WHERE due.check_at IS NULL AND m.profile_id = due.profile_id AND m.segment_id = due.segment_id
    )
    INSERT INTO profile.membership_timer (profile_id, segment_id, check_at)
    SELECT profile_id, segment_id, check_at FROM due WHERE check_at IS NOT NULL
    ON CONFLICT (profile_id, segment_id) DO UPDATE SET check_at = excluded.check_at
      WHERE profile.membership_timer.check_at <> excluded.check_at`);
}

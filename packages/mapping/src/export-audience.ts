import { type ExportProfilesGoal, InputError, TransientError } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';

/** profile.profile is partitioned by hash of the id into this many tables, `profile_p0` and on: a stored constant. */
export const profilePartitions = 8;

/** The goals whose files are written side by side: one for each audience where the goal asks for that. */
export function audiencesOf(goal: ExportProfilesGoal): readonly ExportProfilesGoal[] {
  if (goal.audiences === 'one-file') return [goal];
  return segmentsOf(goal).map((segmentId) => ({ ...goal, segmentId, furtherSegmentIds: [], audiences: 'one-file' }));
}

export function segmentsOf(goal: ExportProfilesGoal): readonly string[] {
  return [...new Set([goal.segmentId, ...goal.furtherSegmentIds])];
}

/** @throws InputError('segment-unknown'), TransientError('segment-building') */
export function checkSegment(catalogue: Catalogue, id: string, at: string): void {
  const segment = catalogue.segments.get(id);
  if (segment === undefined) throw new InputError('segment-unknown', `the workspace has no segment ${id}`, { at });
  if (!segment.versions.some((version) => version.state === 'current')) {
    throw new TransientError('segment-building', `the segment ${JSON.stringify(segment.name)} is still being built`, {
      at,
    });
  }
}

/**
 * Joins to `p` who is in the audience, as `m` with `status` and `qualified_at`: of several segments, whoever is in one of them.
 * @param everyone of all members: several segments are then read as a whole, not for each profile
 */
export function membersOnly(segmentIds: readonly string[], everyone: boolean): Sql {
  const [only] = segmentIds;
  if (segmentIds.length === 1 && only !== undefined)
    return sql`JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${sql.literal(only)} AND m.status = 'realized'`;
  const found = sql`SELECT 'realized' AS status, max(s.qualified_at) AS qualified_at`;
  const inOne = sql`s.segment_id ${isOneOf(segmentIds)} AND s.status = 'realized'`;
  return everyone
    ? sql`JOIN (${found}, s.profile_id FROM profile.membership s WHERE ${inOne} GROUP BY s.profile_id) AS m ON m.profile_id = p.id`
    : sql`JOIN LATERAL (${found} FROM profile.membership s WHERE s.profile_id = p.id AND ${inOne} HAVING count(*) > 0) AS m ON true`;
}

/** The same for whoever is there: `m.status` is 'realized' for members, anything else or NULL for the others. */
export function membersOrNot(segmentIds: readonly string[]): Sql {
  const [only] = segmentIds;
  if (segmentIds.length === 1 && only !== undefined)
    return sql`LEFT JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${sql.literal(only)}`;
  return sql`LEFT JOIN LATERAL (SELECT CASE WHEN bool_or(s.status = 'realized') THEN 'realized' ELSE min(s.status) END AS status,
      coalesce(max(s.qualified_at) FILTER (WHERE s.status = 'realized'), max(s.qualified_at)) AS qualified_at
    FROM profile.membership s WHERE s.profile_id = p.id AND s.segment_id ${isOneOf(segmentIds)}) m ON true`;
}

/** The hash partitions of part `part` (1-based) of `parts`: together the parts hold each partition once. */
export function partitionsOfPart(part: number, parts: number): readonly number[] {
  if (parts < 1 || parts > profilePartitions || part < 1 || part > parts)
    throw new RangeError(`no part ${part} of ${parts}`);
  return allPartitions().filter((partition) => partition % parts === part - 1);
}

export function allPartitions(): number[] {
  return Array.from({ length: profilePartitions }, (_, partition) => partition);
}

/** Named tables, not a condition on the parent: the planner does not prune hash partitions by anything else. */
export function profileTables(partitions: readonly number[]): Sql {
  const table = (partition: number): Sql => sql`profile.${sql.id(`profile_p${partition}`)}`;
  const [first] = partitions;
  if (first === undefined) throw new RangeError('a selection needs at least one partition');
  if (partitions.length === profilePartitions) return sql`profile.profile`;
  if (partitions.length === 1) return table(first);
  return sql`(${sql.join(
    partitions.map((partition) => sql`SELECT id, workspace_id, properties FROM ${table(partition)}`),
    ' UNION ALL ',
  )})`;
}

/** What stands behind a column of segment ids. */
export function isOneOf(ids: readonly string[]): Sql {
  const [only] = ids;
  return ids.length === 1 && only !== undefined
    ? sql`= ${sql.literal(only)}`
    : sql`= ANY (ARRAY[${sql.join(ids.map((id) => sql.literal(id)))}]::uuid[])`;
}

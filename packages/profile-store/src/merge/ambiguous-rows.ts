import { sql, type Executor } from '@millrace/database';
import { identitySource, idColumn, tableOf, type MergeShape } from './merge-shape.js';

export interface AmbiguousRow {
  readonly line: number;
  /** `two-profiles`: the row, or rows it is tied to, find several. `too-many-rows`: more rows name each other than the goal allows. */
  readonly reason: 'two-profiles' | 'too-many-rows';
  /** The profiles that the row's whole component finds at this moment, ten at most. */
  readonly profileIds: readonly string[];
}

/** The rows a plan, and its final chunk, left out as ambiguous, in file order, at most `limit`; while staging and plan are there. */
export async function ambiguousRows(
  executor: Executor,
  shape: MergeShape,
  limit: number,
): Promise<readonly AmbiguousRow[]> {
  const [plan, staging, lines] = [tableOf(shape.plan), tableOf(shape.staging), tableOf(shape.planLines)];
  const identifiers = shape.namespaceIds.map((namespaceId, index) => sql`(${namespaceId}::int, s.${idColumn(index)})`);
  const { rows } = await executor.query<{ line: number; status: 'x' | 'o'; profile_ids: string[] | null }>(sql`
    WITH left_out AS MATERIALIZED (
      SELECT pl.component, pl.status, pl.component AS line FROM ${plan} pl WHERE pl.status IN ('x', 'o') AND pl.rows = 1
      UNION ALL
      SELECT pl.component, pl.status, l.line FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component
      WHERE pl.status IN ('x', 'o') AND pl.rows > 1
      ORDER BY line LIMIT ${limit}
    ), found AS MATERIALIZED (
      SELECT DISTINCT o.component, i.profile_id
      FROM left_out o JOIN ${staging} s ON s.line = o.line
      CROSS JOIN LATERAL (VALUES ${sql.join(identifiers)}) AS v (namespace_id, value)
      JOIN ${identitySource(shape)} i
        ON i.domain_group_id = ${shape.domainGroupId}::int AND i.namespace_id = v.namespace_id AND i.value = v.value
      WHERE o.status = 'x'
    ), named AS MATERIALIZED (
      SELECT component, (array_agg(profile_id::text ORDER BY profile_id))[1:10] AS profile_ids FROM found GROUP BY component
    )
    SELECT o.line::float8 AS line, o.status, n.profile_ids FROM left_out o LEFT JOIN named n USING (component) ORDER BY o.line`);
  return rows.map(({ line, status, profile_ids: profileIds }) => ({
    line,
    reason: status === 'x' ? 'two-profiles' : 'too-many-rows',
    profileIds: profileIds ?? [],
  }));
}

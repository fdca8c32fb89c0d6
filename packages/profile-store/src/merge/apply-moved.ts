import { sql, type Transaction } from '@millrace/database';
import { applyComponents, type ChunkCounts } from './apply-chunk.js';
import { identitySource, idColumn, ownIdIndex, tableOf, type MergeShape } from './merge-shape.js';

const noCounts: ChunkCounts = {
  created: 0,
  updated: 0,
  unchanged: 0,
  profilesCreated: 0,
  profilesUpdated: 0,
  profilesUnchanged: 0,
  moved: 0,
  events: 0,
  eventLines: 0,
  eventsConflicting: 0,
};

export interface MovedCounts extends ChunkCounts {
  /** Rows whose identifiers by now name two profiles. */
  readonly ambiguous: number;
  /** Rows whose profile was erased meanwhile, where creation is not allowed. */
  readonly unmatched: number;
}

/**
 * The final, serial chunk: components whose identities another writer took between plan and apply are resolved again
 * against the present and applied, inside the caller's transaction. `moved` in the result counts those taken once more;
 * call again in a new transaction until it is 0.
 */
export async function applyMoved(tx: Transaction, shape: MergeShape, chunk: number): Promise<MovedCounts> {
  const [plan, staging, lines] = [tableOf(shape.plan), tableOf(shape.staging), tableOf(shape.planLines)];
  const waiting = await tx.query<{ found: boolean }>(
    sql`SELECT EXISTS (SELECT FROM ${plan} WHERE status = 'm') AS found`,
  );
  if (!waiting.rows[0]?.found) return { ...noCounts, ambiguous: 0, unmatched: 0 };
  await tx.query(sql`DROP TABLE IF EXISTS moved_line, moved_target`);
  const identifiers = shape.namespaceIds.map(
    (namespaceId, index) => sql`(${index}::int, ${namespaceId}::int, s.${idColumn(index)})`,
  );
  // Under first match the first identifier that finds a profile decides; otherwise all must find the same.
  const firstMatch = sql`(array_agg(i.profile_id ORDER BY m.line, v.priority) FILTER (WHERE i.profile_id IS NOT NULL))[1]`;
  const found = shape.policy === 'first-match' ? sql`least(count(i.profile_id), 1)` : sql`count(DISTINCT i.profile_id)`;
  await tx.query(sql`
    CREATE TEMP TABLE moved_line ON COMMIT DROP AS
    SELECT component, component AS line FROM ${plan} WHERE status = 'm' AND rows = 1
    UNION ALL SELECT l.component, l.line FROM ${lines} l JOIN ${plan} pl USING (component) WHERE pl.status = 'm' AND pl.rows > 1`);
  await tx.query(sql`
    CREATE TEMP TABLE moved_target (component bigint PRIMARY KEY, profile_id uuid, found int NOT NULL, names_profile boolean) ON COMMIT DROP`);
  await tx.query(sql`
    INSERT INTO moved_target
    SELECT m.component, ${firstMatch}, ${found}, bool_or(v.priority = ${ownIdIndex(shape)}::int AND v.value IS NOT NULL)
    FROM moved_line m JOIN ${staging} s ON s.line = m.line
    CROSS JOIN LATERAL (VALUES ${sql.join(identifiers)}) AS v (priority, namespace_id, value)
    LEFT JOIN ${identitySource(shape)} i ON i.domain_group_id = ${shape.domainGroupId}::int AND i.namespace_id = v.namespace_id AND i.value = v.value
    GROUP BY m.component`);
  const ambiguous = await tx.query<{ rows: number }>(sql`
    UPDATE ${plan} pl SET status = 'x', chunk = ${chunk}::int FROM moved_target t WHERE t.component = pl.component AND t.found > 1 RETURNING pl.rows`);
  const creatable = shape.allowCreation ? sql`NOT t.names_profile` : sql`false`;
  const unmatched = await tx.query<{ rows: number }>(sql`
    UPDATE ${plan} pl SET status = 'u', chunk = ${chunk}::int FROM moved_target t
    WHERE t.component = pl.component AND t.found = 0 AND NOT (${creatable}) RETURNING pl.rows`);
  // Components that now reach the same profile become one, under the smallest line.
  await tx.query(sql`
    INSERT INTO ${lines} (line, component)
    SELECT m.line, g.leader
    FROM (SELECT component, min(component) OVER (PARTITION BY profile_id) AS leader, count(*) OVER (PARTITION BY profile_id) AS size
          FROM moved_target WHERE found = 1) g
    JOIN ${plan} pl ON pl.component = g.component JOIN moved_line m ON m.component = g.component
    WHERE g.size > 1 AND (g.component <> g.leader OR pl.rows = 1)`);
  await tx.query(sql`
    UPDATE ${plan} pl
    SET status = CASE WHEN g.component = g.leader THEN 'a' ELSE 'j' END::"char", rows = CASE WHEN g.component = g.leader THEN g.rows ELSE 0 END,
      chunk = ${chunk}::int, is_new = g.profile_id IS NULL,
      -- The id of an erased profile is never given again.
      profile_id = CASE WHEN g.profile_id IS NOT NULL THEN g.profile_id WHEN pl.is_new THEN pl.profile_id ELSE uuidv7() END
    FROM (
      SELECT t.component, t.profile_id,
        CASE WHEN t.profile_id IS NULL THEN t.component ELSE min(t.component) OVER (PARTITION BY t.profile_id) END AS leader,
        (CASE WHEN t.profile_id IS NULL THEN p.rows ELSE sum(p.rows) OVER (PARTITION BY t.profile_id) END)::int AS rows
      FROM moved_target t JOIN ${plan} p USING (component) WHERE t.found = 1 OR t.found = 0 AND ${creatable}
    ) g
    WHERE g.component = pl.component`);
  const counts = await applyComponents(tx, shape, {
    inChunk: sql`pl.chunk = ${chunk}::int AND pl.status = 'a'`,
    inLines: sql`true`,
  });
  const rowsOf = (components: readonly { rows: number }[]): number =>
    components.reduce((sum, component) => sum + component.rows, 0);
  return { ...counts, ambiguous: rowsOf(ambiguous.rows), unmatched: rowsOf(unmatched.rows) };
}

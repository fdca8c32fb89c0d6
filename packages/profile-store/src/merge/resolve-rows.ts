import { sql, type Database, type Sql, type Transaction } from '@millrace/database';
import { markErasures } from './erase-flagged.js';
import { holdOldRows, planOldRows } from './hold-erased.js';
import { scratchTable } from '../profiles/scratch-table.js';
import {
  identitySource,
  idColumn,
  ownIdIndex,
  tableOf,
  type MergeShape,
  type PlanStatus,
  type TableName,
} from './merge-shape.js';

export interface PlanSummary {
  readonly chunks: number;
  /** Root rows by what becomes of them. */
  readonly rows: Readonly<Record<PlanStatus, number>>;
  readonly components: Readonly<Record<PlanStatus, number>>;
  /** Linked rows of those that are held back already. */
  readonly linkedRowsHeldBack: number;
}

/**
 * Decides for the whole staged file which profile each row belongs to, and writes the plan: existing profiles found by
 * identity, new ones given their ids in file order. Rows that name each other form one component.
 * Runs in one transaction; once that is committed the plan is never decided again.
 * @param beside where staging is committed: what concerns it alone is read over another connection at the same time
 */
export async function resolveRows(tx: Transaction, shape: MergeShape, beside?: Database): Promise<PlanSummary> {
  await prepare(tx);
  if (shape.persistence === 'durable') await analyseStaging(tx, shape);
  // A batch is small, whatever the planner thinks: its identifiers are looked up one by one.
  else await tx.query(sql`SET LOCAL enable_seqscan = off`);
  const holds = await holdOldRows(tx, shape);
  if (shape.namespaceIds.length === 1) await planBySingleIdentifier(tx, shape, holds ? undefined : beside);
  else await planBySeveralIdentifiers(tx, shape);
  const linkedRowsHeldBack = holds ? await planOldRows(tx, shape) : 0;
  if (shape.uses.erase === true) await markErasures(tx, shape);
  if (shape.persistence === 'temporary') await tx.query(sql`SET LOCAL enable_seqscan = on`);
  await indexPlan(tx, shape);
  return { ...(await summarise(tx, shape)), linkedRowsHeldBack };
}

async function prepare(tx: Transaction): Promise<void> {
  await tx.query(sql`SET LOCAL work_mem = '256MB'`);
  await tx.query(sql`SET LOCAL jit = off`);
}

async function analyseStaging(tx: Transaction, shape: MergeShape): Promise<void> {
  // A small sample tells what the plans below need; sampling the staged documents would cost as much as the plan itself.
  await tx.query(sql`SET LOCAL default_statistics_target = 10`);
  const identifiers = shape.namespaceIds.map((_, index) => idColumn(index));
  await tx.query(sql`ANALYZE ${tableOf(shape.staging)} (line, ${sql.join(identifiers)})`);
}

const planColumnTypes = sql`component bigint, profile_id uuid, is_new boolean, rows int, chunk int, status "char"`;
const planLineColumnTypes = sql`line bigint, component bigint`;

async function writePlan(tx: Transaction, shape: MergeShape, query: Sql): Promise<void> {
  await createTableAs(tx, shape, shape.plan, planColumnTypes, query);
}

async function writePlanLines(tx: Transaction, shape: MergeShape, query: Sql): Promise<void> {
  await createTableAs(tx, shape, shape.planLines, planLineColumnTypes, query);
}

async function createTableAs(
  tx: Transaction,
  { persistence }: MergeShape,
  table: TableName,
  columns: Sql,
  query: Sql,
): Promise<void> {
  if (persistence === 'durable') {
    await tx.query(sql`CREATE TABLE ${tableOf(table)} AS ${query}`);
    return;
  }
  await scratchTable(tx, table.name, columns);
  await tx.query(sql`INSERT INTO ${tableOf(table)} ${query}`);
}

const edgeColumnTypes = sql`line bigint, priority int, first_of_line boolean, profile_id uuid, node text`;
const labelColumnTypes = sql`line bigint PRIMARY KEY, component bigint`;

/** A table that only resolving needs. */
async function createWorkTable(
  tx: Transaction,
  { persistence }: MergeShape,
  name: string,
  columns: Sql,
  query: Sql,
): Promise<void> {
  if (persistence === 'durable') {
    await tx.query(sql`DROP TABLE IF EXISTS ${sql.id('pg_temp', name)}`);
    await tx.query(sql`CREATE TEMP TABLE ${sql.id(name)} ON COMMIT DROP AS ${query}`);
    await tx.query(sql`ANALYZE ${sql.id(name)}`);
    return;
  }
  await scratchTable(tx, name, columns);
  await tx.query(sql`INSERT INTO ${sql.id('pg_temp', name)} ${query}`);
}

/** `status` of a component: found, or creatable, and not too large. */
function statusOf(shape: MergeShape, ambiguous: Sql, uncreatable: Sql): Sql {
  return sql`(CASE WHEN rows > ${sql.integer(shape.maxComponentRows)} THEN 'o'
    WHEN ${ambiguous} THEN 'x'
    WHEN profile_id IS NULL AND (NOT ${shape.allowCreation ? sql`true` : sql`false`} OR ${uncreatable}) THEN 'u'
    ELSE 'a' END)::"char"`;
}

/**
 * The id of a new profile: a version 7 UUID of RFC 9562, section 6.2, method 1. One `uuidv7()` gives the first half of all ids of a
 * plan, its time; the second is the variant, a counter of 40 bits that begins at random, and 22 random bits. So ids rise with the
 * line and fill the index from left to right, and a million of them cost a third of what as many calls of `uuidv7()` do, most of
 * which goes into asking for randomness.
 */
const newId = sql`encode(
  (SELECT substr(uuid_send(uuidv7()), 1, 8))
  || int8send((-9223372036854775808) | (((SELECT random(0, 549755813887)) + component) << 22)
    | (hashint8extended(component, (SELECT random(0, 9223372036854775807))) & 4194303)), 'hex')::uuid`;

function planColumns(shape: MergeShape, source: Sql, ambiguous: Sql, uncreatable = sql`false`): Sql {
  return sql`
    SELECT component, coalesce(profile_id, ${newId}) AS profile_id, profile_id IS NULL AS is_new, rows::int AS rows,
      (component / ${sql.integer(shape.chunkLines)})::int AS chunk, ${statusOf(shape, ambiguous, uncreatable)} AS status
    FROM (${source} ORDER BY component OFFSET 0) AS sorted`;
}

function identityJoin(shape: MergeShape, namespaceIndex: number): Sql {
  if (shape.groupTypeId !== undefined)
    return sql`LEFT JOIN (SELECT id AS profile_id, key FROM profile.group WHERE group_type_id = ${sql.integer(shape.groupTypeId)}) i
      ON i.key = s.${idColumn(namespaceIndex)}`;
  return sql`LEFT JOIN ${identitySource(shape)} i ON i.domain_group_id = ${sql.integer(shape.domainGroupId)}
    AND i.namespace_id = ${sql.integer(shape.namespaceIds[namespaceIndex]!)} AND i.value = s.${idColumn(namespaceIndex)}`;
}

async function planBySingleIdentifier(tx: Transaction, shape: MergeShape, beside?: Database): Promise<void> {
  if (!(await planDistinctRows(tx, shape, beside))) await planRepeatedRows(tx, shape);
}

async function isFound(tx: Transaction, query: Sql): Promise<boolean> {
  const { rows } = await tx.query<{ found: boolean }>(sql`SELECT EXISTS (${query}) AS found`);
  return rows[0]!.found;
}

/** The usual file: every row is another profile's, and so a component of its own. Returns false, with no plan, where it is not so. */
async function planDistinctRows(tx: Transaction, shape: MergeShape, beside?: Database): Promise<boolean> {
  const [plan, staging] = [tableOf(shape.plan), tableOf(shape.staging)];
  if (beside === undefined && !(await areDistinct(tx, shape))) return false;
  const single = sql`SELECT s.line AS component, i.profile_id, 1 AS rows FROM ${staging} s ${identityJoin(shape, 0)}`;
  const [, distinct] = await Promise.all([
    writePlan(tx, shape, planColumns(shape, single, sql`false`)),
    beside?.transaction(async (other) => {
      await prepare(other);
      return areDistinct(other, shape);
    }),
  ]);
  // Two identifiers of one namespace may be the same profile's.
  const repeated = sql`SELECT FROM ${plan} WHERE NOT is_new GROUP BY profile_id HAVING count(*) > 1`;
  if (distinct === false || (await isFound(tx, repeated))) {
    if (shape.persistence === 'durable') await tx.query(sql`DROP TABLE ${plan}`);
    return false;
  }
  await writePlanLines(tx, shape, noLines);
  return true;
}

/**
 * Whether no two rows have the same identifier. Hashes are compared, which costs half as much: two identifiers with one hash
 * only send the file the longer way.
 */
async function areDistinct(tx: Transaction, shape: MergeShape): Promise<boolean> {
  const hashes = sql`SELECT DISTINCT hashtextextended(id_1, 0) FROM ${tableOf(shape.staging)}`;
  return isFound(tx, sql`SELECT FROM (${hashes}) d HAVING count(*) = (SELECT count(*) FROM ${tableOf(shape.staging)})`);
}

const noLines = sql`SELECT 0::bigint AS line, 0::bigint AS component WHERE false`;

const rowColumnTypes = sql`line bigint, profile_id uuid, value text`;

/** Rows of one profile, or of one identifier that finds none, form a component. */
async function planRepeatedRows(tx: Transaction, shape: MergeShape): Promise<void> {
  // One look at the store for plan and lines: what a writer changes between two would part components from their lines.
  const found = sql`
    SELECT s.line, i.profile_id, CASE WHEN i.profile_id IS NULL THEN s.id_1 END AS value
    FROM ${tableOf(shape.staging)} s ${identityJoin(shape, 0)}`;
  await createWorkTable(tx, shape, 'resolve_row', rowColumnTypes, found);
  const grouped = sql`SELECT min(line) AS component, profile_id, count(*) AS rows FROM resolve_row GROUP BY profile_id, value`;
  await writePlan(tx, shape, planColumns(shape, grouped, sql`false`));
  const repeated = (node: Sql): Sql => sql`
    SELECT r.line, c.component FROM resolve_row r
    JOIN (SELECT min(line) AS component, ${node} FROM resolve_row GROUP BY ${node} HAVING count(*) > 1) c USING (${node})`;
  await writePlanLines(tx, shape, sql`${repeated(sql`profile_id`)} UNION ALL ${repeated(sql`value`)}`);
  if (shape.persistence === 'durable') await tx.query(sql`DROP TABLE resolve_row`);
}

/**
 * Each identifier of a line is an edge to a node: the profile it finds, or else the identifier itself.
 * Lines that share a node belong together; the smallest line names the component.
 */
async function planBySeveralIdentifiers(tx: Transaction, shape: MergeShape): Promise<void> {
  const identifiers = shape.namespaceIds.map(
    (namespaceId, index) => sql`(${sql.integer(index)}, ${sql.integer(namespaceId)}, s.${idColumn(index)})`,
  );
  const firstKnown = sql`CASE ${sql.join(
    shape.namespaceIds.map((_, index) => sql`WHEN s.${idColumn(index)} IS NOT NULL THEN ${sql.integer(index)}`),
    ' ',
  )} END`;
  const edges = sql`
    SELECT s.line, v.priority, v.priority = ${firstKnown} AS first_of_line, i.profile_id,
      coalesce('p' || i.profile_id::text, v.namespace_id || ':' || v.value) AS node
    FROM ${tableOf(shape.staging)} s
    CROSS JOIN LATERAL (VALUES ${sql.join(identifiers)}) AS v (priority, namespace_id, value)
    LEFT JOIN ${identitySource(shape)} i ON i.domain_group_id = ${sql.integer(shape.domainGroupId)} AND i.namespace_id = v.namespace_id AND i.value = v.value
    WHERE v.value IS NOT NULL`;
  await createWorkTable(tx, shape, 'resolve_edge', edgeColumnTypes, edges);
  await labelComponents(tx, shape);
  if (shape.policy === 'first-match') await splitByFirstMatch(tx);
  const grouped = sql`
    SELECT coalesce(l.component, e.line) AS component, min(e.profile_id::text)::uuid AS profile_id,
      min(e.profile_id::text) IS DISTINCT FROM max(e.profile_id::text) AS ambiguous, count(*) FILTER (WHERE e.first_of_line) AS rows,
      bool_or(e.priority = ${sql.integer(ownIdIndex(shape))}) AS names_profile
    FROM resolve_edge e LEFT JOIN resolve_label l USING (line)
    GROUP BY 1`;
  // Whoever names a profile by its id does not mean a new one.
  await writePlan(tx, shape, planColumns(shape, grouped, sql`ambiguous`, sql`names_profile`));
  await writePlanLines(
    tx,
    shape,
    sql`SELECT line, component FROM resolve_label WHERE component IN (SELECT component FROM ${tableOf(shape.plan)} WHERE rows > 1)`,
  );
  if (shape.persistence === 'durable') await tx.query(sql`DROP TABLE resolve_edge, resolve_label`);
}

/** Labels the lines that share a node, directly or through others, with their component's smallest line. */
async function labelComponents(tx: Transaction, shape: MergeShape): Promise<void> {
  const labels = sql`
    SELECT DISTINCT e.line, e.line AS component
    FROM resolve_edge e
    WHERE e.node IN (SELECT node FROM resolve_edge GROUP BY node HAVING min(line) <> max(line))`;
  await createWorkTable(tx, shape, 'resolve_label', labelColumnTypes, labels);
  if (shape.persistence === 'durable') await tx.query(sql`CREATE UNIQUE INDEX ON resolve_label (line)`);
  for (;;) {
    // The jump through a neighbour's own label halves long chains at every turn.
    const { rowCount } = await tx.query(sql`
      WITH node_label AS (
        SELECT e.node, min(l.component) AS component FROM resolve_edge e JOIN resolve_label l USING (line) GROUP BY e.node
      ), line_label AS (
        SELECT e.line, min(n.component) AS component
        FROM resolve_edge e JOIN resolve_label l USING (line) JOIN node_label n USING (node) GROUP BY e.line
      ), jumped AS (
        SELECT n.line, least(n.component, further.component) AS component
        FROM line_label n JOIN resolve_label further ON further.line = n.component
      )
      UPDATE resolve_label l SET component = j.component FROM jumped j WHERE j.line = l.line AND j.component < l.component`);
    if (rowCount === 0) return;
  }
}

/**
 * Under `first match` a row of an ambiguous component goes to the profile its first matching identifier finds;
 * its other identifiers no longer count. Rows that find nothing by themselves stay with their component.
 */
async function splitByFirstMatch(tx: Transaction): Promise<void> {
  await tx.query(sql`
    CREATE TEMP TABLE resolve_first ON COMMIT DROP AS
    SELECT e.line, (array_agg(e.profile_id ORDER BY e.priority))[1] AS profile_id
    FROM resolve_edge e
    LEFT JOIN resolve_label l USING (line)
    WHERE e.profile_id IS NOT NULL AND coalesce(l.component, e.line) IN (
      SELECT coalesce(l2.component, e2.line) FROM resolve_edge e2 LEFT JOIN resolve_label l2 USING (line)
      GROUP BY 1 HAVING count(DISTINCT e2.profile_id) > 1)
    GROUP BY e.line`);
  await tx.query(sql`
    INSERT INTO resolve_label
    SELECT line, line FROM resolve_first WHERE line NOT IN (SELECT line FROM resolve_label)`);
  await tx.query(sql`
    UPDATE resolve_label l SET component = g.component
    FROM (SELECT line, min(line) OVER (PARTITION BY profile_id) AS component FROM resolve_first) g WHERE g.line = l.line`);
  await tx.query(sql`UPDATE resolve_edge e SET profile_id = f.profile_id FROM resolve_first f WHERE f.line = e.line`);
}

async function indexPlan(tx: Transaction, shape: MergeShape): Promise<void> {
  if (shape.persistence === 'temporary') return;
  // Plan and staging lie in line order, so a block range index finds a chunk's rows.
  await tx.query(sql`CREATE INDEX ON ${tableOf(shape.plan)} USING brin (component) WITH (pages_per_range = 16)`);
  await tx.query(sql`CREATE INDEX ON ${tableOf(shape.planLines)} (component)`);
  await tx.query(sql`ANALYZE ${tableOf(shape.plan)}`);
  await tx.query(sql`ANALYZE ${tableOf(shape.planLines)}`);
  await indexStaging(tx, shape);
}

/** Needed again whenever staging is loaded again beside a frozen plan. */
export async function indexStaging(tx: Transaction, shape: MergeShape): Promise<void> {
  await tx.query(sql`CREATE INDEX ON ${tableOf(shape.staging)} USING brin (line) WITH (pages_per_range = 16)`);
  const { rows } = await tx.query<{ found: boolean }>(
    sql`SELECT EXISTS (SELECT FROM ${tableOf(shape.planLines)}) AS found`,
  );
  if (rows[0]?.found) await tx.query(sql`CREATE INDEX ON ${tableOf(shape.staging)} (line)`);
}

async function summarise(tx: Transaction, shape: MergeShape): Promise<Omit<PlanSummary, 'linkedRowsHeldBack'>> {
  const { rows } = await tx.query<{ status: PlanStatus; rows: number; components: number; last_chunk: number }>(sql`
    SELECT status, sum(rows)::float8 AS rows, count(*)::float8 AS components, max(chunk) AS last_chunk
    FROM ${tableOf(shape.plan)} GROUP BY status`);
  const byStatus = (pick: 'rows' | 'components'): Record<PlanStatus, number> => {
    const counts: Record<PlanStatus, number> = { a: 0, e: 0, u: 0, x: 0, o: 0, m: 0, w: 0, g: 0, f: 0 };
    for (const row of rows) counts[row.status] = row[pick];
    return counts;
  };
  const lastChunks = rows.flatMap((row) => (row.status === 'a' || row.status === 'e' ? [row.last_chunk] : []));
  return {
    chunks: Math.max(-1, ...lastChunks) + 1,
    rows: byStatus('rows'),
    components: byStatus('components'),
  };
}

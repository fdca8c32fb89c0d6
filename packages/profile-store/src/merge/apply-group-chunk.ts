import { sql, type Sql, type Transaction } from '@millrace/database';
import { readsGroupType, type Catalogue } from '@millrace/mapping';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { byIndex } from '../profiles/by-index.js';
import { scratchTable } from '../profiles/scratch-table.js';
import { evaluateSegments } from '../segments/evaluate-segments.js';
import { createTouched } from '../segments/touched.js';
import { writeOutbox } from '../segments/write-outbox.js';
import type { ChunkCounts } from './apply-chunk.js';
import { foldedColumns, mergedProperties, plainColumns } from './merge-properties.js';
import { tableOf, type MergeShape } from './merge-shape.js';

/**
 * Applies one chunk of a plan of groups inside the caller's transaction: each group is written once, its rows folded in file
 * order; members of a group that changed are evaluated for the segments that look at its type. Locks are taken in every
 * writer's order: definitions, groups by type and key, profiles by id. A group that somebody else made since the plan was
 * frozen is the same group: its key says so.
 */
export async function applyGroupChunk(
  tx: Transaction,
  shape: MergeShape,
  groupTypeId: number,
  inChunk: Sql,
): Promise<ChunkCounts> {
  await tx.query(sql`SET LOCAL jit = off`);
  await tx.query(sql`SET LOCAL work_mem = '64MB'`);
  await lockDefinitions(tx, shape.workspaceId, 'shared');
  const catalogue = await loadCatalogue(tx, shape.workspaceId);
  await collectGroups(tx, shape, inChunk);
  await createGroups(tx, shape, groupTypeId);
  await updateGroups(tx, shape);
  if (isReadBySegments(catalogue, groupTypeId)) await evaluateMembers(tx, shape, catalogue);
  return countOutcomes(tx);
}

/** The chunk's rows, one for each group, in a temporary table `incoming_group`. */
async function collectGroups(
  tx: Transaction,
  { plan, planLines, staging, uses }: MergeShape,
  inChunk: Sql,
): Promise<void> {
  await scratchTable(tx, 'incoming_group', incomingColumns);
  const into = sql.join(
    ['component', 'group_id', 'is_new', 'rows', 'key', ...valueColumns(uses)].map((name) => sql.id(name)),
  );
  await tx.query(sql`
    INSERT INTO incoming_group (${into})
    SELECT pl.component, pl.profile_id, pl.is_new, pl.rows, s.id_1, ${plainColumns(uses)}
    FROM ${tableOf(plan)} pl JOIN ${tableOf(staging)} s ON s.line = pl.component
    WHERE ${inChunk} AND pl.rows = 1`);
  await tx.query(sql`
    INSERT INTO incoming_group (${into})
    SELECT pl.component, pl.profile_id, pl.is_new, pl.rows, min(s.id_1), ${foldedColumns(uses)}
    FROM ${tableOf(plan)} pl JOIN ${tableOf(planLines)} l ON l.component = pl.component JOIN ${tableOf(staging)} s ON s.line = l.line
    WHERE ${inChunk} AND pl.rows > 1
    GROUP BY pl.component, pl.profile_id, pl.is_new, pl.rows`);
  await tx.query(sql`ANALYZE incoming_group`);
}

const incomingColumns = sql`
  component bigint, group_id uuid, is_new boolean, rows integer, key text, assign jsonb, fill jsonb, append jsonb, increment jsonb`;
const outcomeColumns = sql`group_id uuid PRIMARY KEY, rows integer NOT NULL, outcome "char" NOT NULL`;

/** Of `plainColumns` and `foldedColumns`, in their order; groups have no consent. */
function valueColumns(uses: MergeShape['uses']): readonly string[] {
  return [
    'assign',
    ...(uses.fill ? ['fill'] : []),
    ...(uses.append.length > 0 ? ['append'] : []),
    ...(uses.increment.length > 0 ? ['increment'] : []),
  ];
}

async function createGroups(tx: Transaction, { plan, uses }: MergeShape, groupTypeId: number): Promise<void> {
  const fresh = mergedProperties(uses, sql`i`, undefined);
  await tx.query(sql`
    INSERT INTO profile.group (id, group_type_id, key, properties)
    SELECT i.group_id, ${groupTypeId}::int, i.key, ${uses.clear ? fresh : sql`jsonb_strip_nulls(${fresh})`}
    FROM incoming_group i WHERE i.is_new ORDER BY i.key
    ON CONFLICT (group_type_id, key) DO NOTHING`);
  await tx.query(sql`
    WITH taken AS (
      UPDATE incoming_group i SET group_id = g.id, is_new = false FROM profile.group g
      WHERE i.is_new AND g.group_type_id = ${groupTypeId}::int AND g.key = i.key AND g.id <> i.group_id
      RETURNING i.component, g.id
    )
    UPDATE ${tableOf(plan)} pl SET profile_id = t.id, is_new = false FROM taken t WHERE t.component = pl.component`);
}

/** Changes the groups that were there; one without a difference is not rewritten. What became of each is in `group_outcome`. */
async function updateGroups(tx: Transaction, { uses }: MergeShape): Promise<void> {
  await tx.query(sql`
    SELECT count(*) FROM (
      SELECT FROM profile.group g JOIN incoming_group i ON i.group_id = g.id
      WHERE NOT i.is_new ORDER BY g.group_type_id, g.key FOR NO KEY UPDATE OF g
    ) AS locked`);
  const merged = mergedProperties(uses, sql`i`, sql`g.properties`);
  await scratchTable(tx, 'group_outcome', outcomeColumns);
  await tx.query(sql`
    WITH updated AS (
      UPDATE profile.group g SET properties = ${merged}, changed_xid = pg_current_xact_id(), updated_at = now()
      FROM incoming_group i WHERE NOT i.is_new AND g.id = i.group_id AND ${merged} IS DISTINCT FROM g.properties
      RETURNING g.id
    )
    INSERT INTO group_outcome
    SELECT i.group_id, i.rows, CASE WHEN i.is_new THEN 'c' WHEN u.id IS NULL THEN 'n' ELSE 'u' END
    FROM incoming_group i LEFT JOIN updated u ON u.id = i.group_id`);
}

function isReadBySegments(catalogue: Catalogue, groupTypeId: number): boolean {
  const codes = [...catalogue.groupTypes].flatMap(([code, { id }]) => (id === groupTypeId ? [code] : []));
  const rules = [...catalogue.segments.values()].flatMap(({ versions }) => versions.map(({ rule }) => rule));
  return codes.some((code) => rules.some((rule) => readsGroupType(rule, code)));
}

async function evaluateMembers(tx: Transaction, { workspaceId }: MergeShape, catalogue: Catalogue): Promise<void> {
  await createTouched(tx);
  const lock = sql`
    WITH locked AS MATERIALIZED (
      SELECT p.id, p.version FROM (
        SELECT DISTINCT gm.profile_id FROM group_outcome o JOIN profile.group_member gm ON gm.group_id = o.group_id WHERE o.outcome = 'u'
      ) AS member JOIN profile.profile p ON p.id = member.profile_id
      ORDER BY p.id FOR NO KEY UPDATE OF p
    )
    INSERT INTO touched (profile_id, outcome, version) SELECT id, 'n', version FROM locked`;
  await byIndex(tx, () => tx.query(lock));
  await evaluateSegments(tx, catalogue);
  await writeOutbox(tx, workspaceId, (await streamedProperties(tx, workspaceId)) !== undefined);
}

async function countOutcomes(tx: Transaction): Promise<ChunkCounts> {
  const { rows } = await tx.query<{ outcome: 'c' | 'u' | 'n'; rows: number; groups: number }>(
    sql`SELECT outcome, sum(rows)::float8 AS rows, count(*)::float8 AS groups FROM group_outcome GROUP BY outcome`,
  );
  const of = (outcome: 'c' | 'u' | 'n'): { readonly rows: number; readonly groups: number } =>
    rows.find((row) => row.outcome === outcome) ?? { rows: 0, groups: 0 };
  return {
    created: of('c').rows,
    updated: of('u').rows,
    unchanged: of('n').rows,
    profilesCreated: 0,
    profilesUpdated: 0,
    profilesUnchanged: 0,
    groupsCreated: of('c').groups,
    groupsUpdated: of('u').groups,
    groupsUnchanged: of('n').groups,
    moved: 0,
    events: 0,
    eventLines: 0,
    eventsConflicting: 0,
  };
}

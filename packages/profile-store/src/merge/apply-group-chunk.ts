import { sql, type Sql, type Transaction } from '@millrace/database';
import { TransientError } from '@millrace/domain';
import { readsGroupType, type Catalogue } from '@millrace/mapping';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { byIndex } from '../profiles/by-index.js';
import { scratchTable } from '../profiles/scratch-table.js';
import { nextVersion } from '../profiles/version.js';
import { evaluateSegments } from '../segments/evaluate-segments.js';
import { createTouched } from '../segments/touched.js';
import { writeOutbox } from '../segments/write-outbox.js';
import type { ChunkCounts } from './apply-chunk.js';
import { holdForeign, holdForeignErasures } from './hold-back.js';
import { foldedColumns, mergedProperties, plainColumns } from './merge-properties.js';
import { tableOf, type MergeShape } from './merge-shape.js';

export interface GroupChunk {
  readonly shape: MergeShape;
  readonly groupTypeId: number;
  /** Conditions on the plan `pl` that hold for the chunk's components to be merged, and for those whose group is erased. */
  readonly inChunk: Sql;
  readonly flagged: Sql;
}

/**
 * Applies one chunk of a plan of groups inside the caller's transaction: each group is written once, its rows folded in file
 * order, or erased with its links; members are evaluated for the segments that look at its type. Locks are taken in every
 * writer's order: definitions, groups by type and key, profiles by id. A group that somebody else made since the plan was
 * frozen is the same group: its key says so. One that somebody else erased is made again, where groups may be.
 */
export async function applyGroupChunk(tx: Transaction, chunk: GroupChunk): Promise<ChunkCounts> {
  const { shape, groupTypeId, inChunk, flagged } = chunk;
  await tx.query(sql`SET LOCAL jit = off`);
  await tx.query(sql`SET LOCAL work_mem = '64MB'`);
  await lockDefinitions(tx, shape.workspaceId, 'shared');
  const catalogue = await loadCatalogue(tx, shape.workspaceId);
  const erases = shape.uses.erase === true;
  const { unit } = shape;
  const fresh = sql`${inChunk} AND pl.is_new`;
  const strangers = unit === undefined ? 0 : (await holdForeign(tx, { shape, inChunk: fresh }, unit)).rows;
  const unmatched = await renewErased(tx, shape, inChunk);
  await collectGroups(tx, shape, inChunk);
  await createGroups(tx, shape, groupTypeId);
  await lockGroups(tx, shape, flagged);
  let otherUnit = strangers;
  if (unit !== undefined) {
    otherUnit += (await holdForeign(tx, { shape, inChunk }, unit)).rows;
    if (erases) otherUnit += (await holdForeignErasures(tx, { shape, inChunk: flagged }, unit)).rows;
    await tx.query(sql`
      DELETE FROM incoming_group i WHERE NOT EXISTS (
        SELECT FROM ${tableOf(shape.plan)} pl WHERE ${inChunk} AND pl.component = i.component)`);
  }
  await updateGroups(tx, shape);
  const reads = isReadBySegments(catalogue, groupTypeId);
  const members = { changed: reads, ended: erases };
  if (reads || erases) await touchMembers(tx, shape, flagged, members);
  const ended = erases ? await eraseGroups(tx, shape, flagged) : {};
  if (reads || erases) {
    await evaluateSegments(tx, catalogue);
    await writeOutbox(tx, shape.workspaceId, (await streamedProperties(tx, shape.workspaceId)) !== undefined);
  }
  return { ...(await countOutcomes(tx)), ...ended, unmatched, ...(unit === undefined ? {} : { otherUnit }) };
}

/**
 * Components whose group is gone since the plan was made are of a new one, or match none where groups may not be made.
 * Returns the rows of the latter.
 */
async function renewErased(tx: Transaction, { plan, allowCreation }: MergeShape, inChunk: Sql): Promise<number> {
  const gone = sql`${inChunk} AND NOT pl.is_new AND NOT EXISTS (SELECT FROM profile.group g WHERE g.id = pl.profile_id)`;
  if (allowCreation) {
    await tx.query(sql`UPDATE ${tableOf(plan)} pl SET is_new = true, profile_id = uuidv7() WHERE ${gone}`);
    return 0;
  }
  const { rows } = await tx.query<{ rows: number }>(sql`
    WITH lost AS (UPDATE ${tableOf(plan)} pl SET status = 'u' WHERE ${gone} RETURNING pl.rows)
    SELECT coalesce(sum(rows), 0)::float8 AS rows FROM lost`);
  return rows[0]!.rows;
}

/**
 * Locks the groups that were there, those to be changed and those to be erased, by key.
 * @throws TransientError where one was erased at this very moment: what becomes of its rows is decided anew
 */
async function lockGroups(tx: Transaction, { plan, uses }: MergeShape, flagged: Sql): Promise<void> {
  const erased =
    uses.erase === true ? sql` UNION ALL SELECT pl.profile_id FROM ${tableOf(plan)} pl WHERE ${flagged}` : sql.empty;
  await tx.query(sql`
    SELECT count(*) FROM (
      SELECT FROM profile.group g JOIN (SELECT group_id FROM incoming_group WHERE NOT is_new${erased}) i ON i.group_id = g.id
      ORDER BY g.group_type_id, g.key FOR NO KEY UPDATE OF g
    ) AS locked`);
  const { rows } = await tx.query<{ gone: boolean }>(sql`
    SELECT EXISTS (SELECT FROM incoming_group i WHERE NOT i.is_new AND NOT EXISTS (SELECT FROM profile.group g WHERE g.id = i.group_id)) AS gone`);
  if (rows[0]!.gone)
    throw new TransientError('group-erased', 'a group of the file was erased by somebody else: try again');
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

/** The profiles that may change with the chunk's groups, locked by id, in `touched`. */
async function touchMembers(
  tx: Transaction,
  { plan }: MergeShape,
  flagged: Sql,
  of: { readonly changed: boolean; readonly ended: boolean },
): Promise<void> {
  await createTouched(tx);
  const groups = [
    ...(of.changed ? [sql`SELECT o.group_id FROM group_outcome o WHERE o.outcome = 'u'`] : []),
    ...(of.ended ? [sql`SELECT pl.profile_id FROM ${tableOf(plan)} pl WHERE ${flagged}`] : []),
  ];
  const lock = sql`
    WITH locked AS MATERIALIZED (
      SELECT p.id, p.version FROM (
        SELECT DISTINCT gm.profile_id FROM (${sql.join(groups, ' UNION ALL ')}) AS o (group_id)
        JOIN profile.group_member gm ON gm.group_id = o.group_id
      ) AS member JOIN profile.profile p ON p.id = member.profile_id
      ORDER BY p.id FOR NO KEY UPDATE OF p
    )
    INSERT INTO touched (profile_id, outcome, version) SELECT id, 'n', version FROM locked`;
  await byIndex(tx, () => tx.query(lock));
}

/**
 * Erases the groups with the delete flag and ends their links. A link that is gone can only be told by the profile, so that
 * exports of its groups see the change. A key leaves no tombstone: it may be used again.
 */
async function eraseGroups(
  tx: Transaction,
  { plan }: MergeShape,
  flagged: Sql,
): Promise<Pick<ChunkCounts, 'erased' | 'groupsErased' | 'groupsUnlinked'>> {
  const chosen = sql`FROM ${tableOf(plan)} pl WHERE ${flagged}`;
  await scratchTable(tx, 'group_left', sql`profile_id uuid NOT NULL`);
  const unlink = sql`
    WITH ended AS (
      DELETE FROM profile.group_member gm USING (SELECT pl.profile_id AS group_id ${chosen}) e WHERE gm.group_id = e.group_id RETURNING gm.profile_id
    )
    INSERT INTO group_left SELECT profile_id FROM ended`;
  const { rowCount: groupsUnlinked } = await byIndex(tx, () => tx.query(unlink));
  const raise = sql`
    WITH raised AS (
      UPDATE profile.profile p SET version = ${nextVersion}, changed_xid = pg_current_xact_id(), updated_at = now()
      FROM (SELECT DISTINCT profile_id FROM group_left) l WHERE p.id = l.profile_id
      RETURNING p.id, p.version
    )
    UPDATE touched t SET version = r.version, outcome = 'u' FROM raised r WHERE t.profile_id = r.id`;
  await byIndex(tx, () => tx.query(raise));
  const erase = sql`DELETE FROM profile.group g USING (SELECT pl.profile_id AS group_id ${chosen}) e WHERE g.id = e.group_id`;
  const { rowCount: groupsErased } = await byIndex(tx, () => tx.query(erase));
  const { rows } = await tx.query<{ rows: number }>(sql`SELECT coalesce(sum(pl.rows), 0)::float8 AS rows ${chosen}`);
  return { erased: rows[0]!.rows, groupsErased, groupsUnlinked };
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

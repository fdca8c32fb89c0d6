import { sql, type Sql, type Transaction } from '@millrace/database';
import { byIndex } from '../profiles/by-index.js';
import { scratchTable } from '../profiles/scratch-table.js';
import { firstVersion } from '../profiles/version.js';
import type { ChunkContext } from './chunk-context.js';
import { foldedColumns, mergedProperties, plainColumns, writesProperty } from './merge-properties.js';
import { tableOf } from './merge-shape.js';

/**
 * Locks the chunk's existing profiles by id and keeps how they stand in a temporary table `locked` (id, properties, version).
 * Components whose profile is gone are marked as moved; returns how many.
 */
export async function lockExisting(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<number> {
  const plan = tableOf(shape.plan);
  await scratchTable(tx, 'locked', sql`id uuid, properties jsonb, version bigint`);
  // A subquery that locks is run once for each id, in their order, and finds its one partition.
  const lock = sql`
    INSERT INTO locked
    SELECT wanted.profile_id, p.properties, p.version
    FROM (SELECT pl.profile_id FROM ${plan} pl WHERE ${inChunk} AND NOT pl.is_new ORDER BY pl.profile_id OFFSET 0) wanted
    CROSS JOIN LATERAL (
      SELECT p.properties, p.version FROM profile.profile p WHERE p.id = wanted.profile_id FOR NO KEY UPDATE OF p
    ) p`;
  const { rowCount: found } = await byIndex(tx, () => tx.query(lock));
  const { rows } = await tx.query<{ wanted: number }>(
    sql`SELECT count(*)::float8 AS wanted FROM ${plan} pl WHERE ${inChunk} AND NOT pl.is_new`,
  );
  if (rows[0]!.wanted === found) return 0;
  const { rowCount } = await tx.query(sql`
    UPDATE ${plan} pl SET status = 'm' WHERE ${inChunk} AND NOT pl.is_new AND NOT EXISTS (SELECT FROM locked WHERE id = pl.profile_id)`);
  return rowCount;
}

const incomingColumns = sql`
  component bigint, profile_id uuid, is_new boolean, rows integer, same boolean, properties jsonb, present bigint, version bigint,
  written integer[], changed integer[]`;

/**
 * What becomes of every profile that is not simply one new row, in a temporary table `incoming`: its merged properties (of an
 * existing profile only where they are not the `same` as before), its next version, and the streamed properties written and changed.
 */
export async function collectIncoming(tx: Transaction, context: ChunkContext, folded: boolean): Promise<void> {
  const { shape, inChunk, inLines } = context;
  const [plan, staging, lines] = [tableOf(shape.plan), tableOf(shape.staging), tableOf(shape.planLines)];
  await scratchTable(tx, 'incoming', incomingColumns);
  await tx.query(
    intoIncoming(
      context,
      sql`
      SELECT pl.component, pl.profile_id, pl.is_new, pl.rows, k.version AS present, k.properties AS before, ${plainColumns(shape.uses)}
      FROM ${plan} pl JOIN ${staging} s ON s.line = pl.component JOIN locked k ON k.id = pl.profile_id
      WHERE ${inChunk} AND ${inLines} AND pl.rows = 1 AND NOT pl.is_new`,
    ),
  );
  if (!folded) return;
  await tx.query(
    intoIncoming(
      context,
      sql`
      SELECT f.*, k.version AS present, k.properties AS before
      FROM (
        SELECT pl.component, pl.profile_id, pl.is_new, pl.rows, ${foldedColumns(shape.uses)}
        FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${staging} s ON s.line = l.line
        WHERE ${inChunk} AND pl.rows > 1
        GROUP BY pl.component, pl.profile_id, pl.is_new, pl.rows
      ) f LEFT JOIN locked k ON k.id = f.profile_id`,
    ),
  );
}

// Each step stands behind OFFSET 0: pulled up, the merge would be done again wherever its result is named.
function intoIncoming(context: ChunkContext, rows: Sql): Sql {
  const { uses } = context.shape;
  const fresh = mergedProperties(uses, sql`r`, undefined);
  const { overwritten, written, changed } = streamedColumns(context);
  const held = holdsAlready(context);
  const same = held === undefined ? sql`(NOT m.is_new AND m.merged IS NOT DISTINCT FROM m.before)` : sql`m.held`;
  return sql`
    INSERT INTO incoming
    SELECT c.component, c.profile_id, c.is_new, c.rows, c.same, CASE WHEN NOT c.same THEN c.merged END, c.present, c.version,
      CASE WHEN c.is_new THEN '{}' WHEN c.same THEN ${overwritten} ELSE ${written} END,
      CASE WHEN c.is_new OR c.same THEN '{}' ELSE ${changed} END
    FROM (
      SELECT m.*, ${same} AS same,
        CASE WHEN m.is_new THEN first.version ELSE greatest(m.present + 1, first.version) END AS version
      FROM (
        SELECT r.*, CASE WHEN r.held THEN NULL WHEN r.is_new THEN ${uses.clear ? fresh : sql`jsonb_strip_nulls(${fresh})`}
          ELSE ${mergedProperties(uses, sql`r`, sql`r.before`)} END AS merged
        FROM (SELECT r.*, ${held ?? sql`false`} AS held FROM (${rows}) r OFFSET 0) r OFFSET 0
      ) m CROSS JOIN (SELECT ${firstVersion} AS version) AS first OFFSET 0
    ) c`;
}

/**
 * That a profile has every value its row assigns, found for a third of what merging costs; undefined where that does not tell
 * whether anything changes: a list contains others.
 */
function holdsAlready({ shape: { uses }, catalogue }: ChunkContext): Sql | undefined {
  const assignsOnly = !uses.fill && !uses.clear && uses.append.length === 0 && uses.increment.length === 0;
  const hasLists = [...catalogue.properties.values()].some(({ list }) => list);
  return assignsOnly && !hasLists ? sql`(NOT r.is_new AND r.before @> r.assign)` : undefined;
}

/**
 * Arrays of the streamed properties' ids: `overwritten` by the row with whatever value, really `changed`, and either of them,
 * as set-if-empty writes only what it changes.
 */
function streamedColumns({ shape, catalogue, streamed }: ChunkContext): {
  readonly overwritten: Sql;
  readonly changed: Sql;
  readonly written: Sql;
} {
  const names = [...catalogue.properties.values()].filter(({ id }) => streamed?.has(id));
  const none = sql`'{}'::int[]`;
  if (names.length === 0) return { overwritten: none, changed: none, written: none };
  const overwrites = (name: string): Sql => writesProperty(shape.uses, sql`c`, name);
  // As texts first: values that read alike are alike, as properties have types, and texts cost half as much.
  const changes = (name: string): Sql => {
    const property = sql`${name}::text`;
    const differ = (get: Sql): Sql => sql`c.before${get}${property} IS DISTINCT FROM c.merged${get}${property}`;
    return sql`(${differ(sql`->>`)} AND ${differ(sql`->`)})`;
  };
  const array = (condition: (name: string) => Sql): Sql =>
    sql`array_remove(ARRAY[${sql.join(names.map(({ id, name }) => sql`CASE WHEN ${condition(name)} THEN ${id}::int END`))}], NULL)`;
  return {
    overwritten: array(overwrites),
    changed: array(changes),
    written: shape.uses.fill ? array((name) => sql`(${overwrites(name)} OR ${changes(name)})`) : array(overwrites),
  };
}

const gotIdentity = sql`EXISTS (SELECT FROM identity_added a WHERE a.profile_id = i.profile_id)`;

/**
 * Creates and updates the profiles of `incoming`; an unchanged profile's row is not rewritten. Those that changed by an identity
 * alone are no longer the `same` afterwards.
 */
export async function mergeIncoming(tx: Transaction, { shape, inChunk }: ChunkContext, moved: number): Promise<void> {
  if (moved > 0) {
    await tx.query(sql`
      DELETE FROM incoming i WHERE NOT EXISTS (SELECT FROM ${tableOf(shape.plan)} pl WHERE ${inChunk} AND pl.component = i.component)`);
  }
  await tx.query(sql`
    INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
    SELECT i.profile_id, ${shape.workspaceId}::int, ${shape.domainGroupId}::int, i.properties, i.version
    FROM incoming i WHERE i.is_new ORDER BY i.profile_id`);
  await tx.query(sql`UPDATE incoming i SET same = false WHERE i.same AND ${gotIdentity}`);
  const update = sql`
    UPDATE profile.profile p
    SET properties = coalesce(i.properties, p.properties), version = i.version, changed_xid = pg_current_xact_id(), updated_at = now()
    FROM incoming i WHERE NOT i.is_new AND NOT i.same AND p.id = i.profile_id`;
  await byIndex(tx, () => tx.query(update));
}

const outcome = sql`CASE WHEN i.is_new THEN 'c' WHEN i.same THEN 'n' ELSE 'u' END::"char"`;
const versionNow = sql`CASE WHEN i.same THEN i.present ELSE i.version END`;
const identities = sql`(i.is_new OR ${gotIdentity})`;

/** For what follows a merge: the profiles of `incoming` in `touched`. */
export async function touchIncoming(tx: Transaction): Promise<void> {
  await tx.query(sql`
    INSERT INTO touched (profile_id, component, rows, outcome, version, written, changed, identities)
    SELECT i.profile_id, i.component, i.rows, ${outcome}, ${versionNow}, i.written, i.changed, ${identities} FROM incoming i`);
}

/** Where nothing else follows: the last few updated profiles in `touched`, for whoever shows examples of what was done. */
export async function touchExamples(tx: Transaction, count: number): Promise<void> {
  await tx.query(sql`
    INSERT INTO touched (profile_id, component, outcome, version)
    SELECT i.profile_id, i.component, 'u', i.version FROM incoming i WHERE NOT i.is_new AND NOT i.same
    ORDER BY i.component DESC LIMIT ${count}`);
}

/** Where nothing else follows: the outbox rows of `incoming`. */
export async function outboxOfIncoming(tx: Transaction, workspaceId: number): Promise<void> {
  await tx.query(sql`
    INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed, identities)
    SELECT profile.lane(i.profile_id), ${workspaceId}::int, i.profile_id, ${versionNow}, i.written, i.changed, ${identities}
    FROM incoming i WHERE i.written <> '{}' OR ${identities}`);
}

/** The rows and profiles of `incoming` by outcome, as a table (outcome, rows, profiles). */
export const incomingOutcomes: Sql = sql`
  SELECT ${outcome} AS outcome, sum(i.rows)::float8 AS rows, count(*)::float8 AS profiles FROM incoming i GROUP BY 1`;

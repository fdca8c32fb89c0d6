import { sql, type Sql, type Transaction } from '@millrace/database';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { byIndex } from '../profiles/by-index.js';
import { scratchTable } from '../profiles/scratch-table.js';
import { firstVersion, nextVersion } from '../profiles/version.js';
import { evaluateSegments } from '../segments/evaluate-segments.js';
import { createTouched } from '../segments/touched.js';
import { writeOutbox } from '../segments/write-outbox.js';
import { applyConsent } from './apply-consent.js';
import { applyEvents, type EventCounts } from './apply-events.js';
import type { ChunkContext } from './chunk-context.js';
import { addIdentities, addNewIdentities } from './add-identities.js';
import { applyGroupChunk } from './apply-group-chunk.js';
import { eraseFlagged, lockMergedAndErased, type ErasureCounts } from './erase-flagged.js';
import { holdBack, holdsBack, type HeldBackCounts } from './hold-back.js';
import { feedProducts } from './feed-products.js';
import { linkGroups, linksGroups, lockLinkedGroups, type GroupLinkCounts } from './link-groups.js';
import { foldedColumns, mergedProperties, plainColumns, writesProperty, writtenColumns } from './merge-properties.js';
import { tableOf, type MergeShape } from './merge-shape.js';

/** Rows and profiles of one chunk by what became of them; `moved` components wait for `applyMoved`. */
export interface ChunkCounts
  extends EventCounts, Partial<ErasureCounts>, Partial<GroupLinkCounts>, Partial<HeldBackCounts> {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly profilesCreated: number;
  readonly profilesUpdated: number;
  readonly profilesUnchanged: number;
  readonly groupsCreated?: number;
  readonly groupsUpdated?: number;
  readonly groupsUnchanged?: number;
  /** Added to the product store or changed there. */
  readonly products?: number;
  readonly moved: number;
}

/**
 * Applies one chunk of the plan inside the caller's transaction: identities, profiles, consent, events, segments, outbox.
 * The caller records "chunk k applied" in the same transaction and commits. Components whose identities a concurrent
 * writer took meanwhile are marked and left for `applyMoved`. Locks are taken in the order every writer keeps:
 * definitions, groups by type and key, profiles by id, identities by key.
 */
export async function applyChunk(tx: Transaction, shape: MergeShape, chunk: number): Promise<ChunkCounts> {
  const within = (column: Sql): Sql =>
    sql`${column} >= ${chunk * shape.chunkLines}::bigint AND ${column} < ${(chunk + 1) * shape.chunkLines}::bigint`;
  const inChunk = sql`${within(sql`pl.component`)} AND pl.chunk = ${chunk}::int`;
  const chosen = { inChunk: sql`${inChunk} AND pl.status = 'a'`, inLines: within(sql`s.line`) };
  if (shape.groupTypeId !== undefined) return applyGroupChunk(tx, shape, shape.groupTypeId, chosen.inChunk);
  if (shape.uses.erase !== true) return applyComponents(tx, shape, chosen);
  if (linksGroups(shape)) await lockLinkedGroups(tx, shape, chosen.inChunk);
  await lockMergedAndErased(tx, shape, inChunk);
  const counts = await applyComponents(tx, shape, chosen);
  return { ...counts, ...(await eraseFlagged(tx, shape, inChunk)) };
}

/** Applies the components that the conditions choose. */
export async function applyComponents(
  tx: Transaction,
  shape: MergeShape,
  { inChunk, inLines }: Pick<ChunkContext, 'inChunk' | 'inLines'>,
): Promise<ChunkCounts> {
  await tx.query(sql`SET LOCAL jit = off`);
  await tx.query(sql`SET LOCAL work_mem = '64MB'`);
  await lockDefinitions(tx, shape.workspaceId, 'shared');
  const catalogue = await loadCatalogue(tx, shape.workspaceId);
  const context: ChunkContext = {
    shape,
    catalogue,
    inChunk,
    inLines,
    streamed: await streamedProperties(tx, shape.workspaceId),
  };
  let { simple, other } = await countKinds(tx, context);
  let moved = 0;
  if (linksGroups(shape)) await lockLinkedGroups(tx, shape, inChunk);
  if (other > 0) moved += await lockExisting(tx, context);
  const heldBack = holdsBack(shape) ? await holdBack(tx, context) : undefined;
  if (heldBack !== undefined && heldBack.rows > 0) ({ simple, other } = await countKinds(tx, context));
  if (other > 0) await collectIncoming(tx, context);
  const onlyNew = other === 0 && shape.namespaceIds.length === 1;
  if (simple + other > 0 && !(onlyNew && (await addNewIdentities(tx, context))))
    moved += (await addIdentities(tx, context)).moved;
  const followUp =
    catalogue.segments.size > 0 || shape.events !== undefined || shape.uses.consent || linksGroups(shape);
  const touchSimple = simple > 0 && followUp;
  if (touchSimple || other > 0) await createTouched(tx);
  let links: GroupLinkCounts | undefined;
  const created = simple > 0 ? await insertSimple(tx, context, touchSimple) : 0;
  if (other > 0) await mergeIncoming(tx, context, moved);
  if (touchSimple || other > 0) {
    if (shape.uses.consent) await applyConsent(tx, context);
    if (linksGroups(shape)) links = await linkGroups(tx, context);
  }
  const events =
    shape.events === undefined ? { events: 0, eventLines: 0, eventsConflicting: 0 } : await applyEvents(tx, context);
  const products = (shape.productFeeds ?? []).length === 0 ? undefined : await feedProducts(tx, context);
  if (touchSimple || other > 0) {
    await evaluateSegments(tx, catalogue);
    await writeOutbox(tx, shape.workspaceId, context.streamed !== undefined);
  }
  if (created > 0 && !touchSimple && context.streamed !== undefined) await outboxOfCreated(tx, context);
  const counts = await countOutcomes(tx, touchSimple || other > 0, touchSimple ? 0 : created);
  return {
    ...counts,
    ...events,
    ...links,
    ...(products === undefined ? {} : { products }),
    ...heldBack?.counts,
    moved,
  };
}

interface Kinds {
  /** New profiles of one row each. */
  readonly simple: number;
  readonly other: number;
}

async function countKinds(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<Kinds> {
  const { rows } = await tx.query<Kinds>(sql`
    SELECT count(*) FILTER (WHERE is_new AND rows = 1)::float8 AS simple, count(*) FILTER (WHERE NOT (is_new AND rows = 1))::float8 AS other
    FROM ${tableOf(shape.plan)} pl WHERE ${inChunk}`);
  return rows[0] ?? { simple: 0, other: 0 };
}

/** Locks the chunk's existing profiles by id. Components whose profile is gone are marked as moved. */
async function lockExisting(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<number> {
  const plan = tableOf(shape.plan);
  await scratchTable(tx, 'locked', sql`id uuid PRIMARY KEY`);
  const lock = sql`
    WITH found AS MATERIALIZED (
      SELECT p.id FROM (SELECT profile_id FROM ${plan} pl WHERE ${inChunk} AND NOT pl.is_new ORDER BY profile_id) wanted
      JOIN profile.profile p ON p.id = wanted.profile_id
      ORDER BY p.id FOR NO KEY UPDATE OF p
    )
    INSERT INTO locked SELECT id FROM found`;
  await byIndex(tx, () => tx.query(lock));
  const { rowCount } = await tx.query(sql`
    UPDATE ${plan} pl SET status = 'm' WHERE ${inChunk} AND NOT pl.is_new AND NOT EXISTS (SELECT FROM locked WHERE id = pl.profile_id)`);
  return rowCount;
}

/** Rows that are not simply one new profile each, folded to one row per profile, in a temporary table `incoming`. */
async function collectIncoming(tx: Transaction, { shape, inChunk, inLines }: ChunkContext): Promise<void> {
  const [plan, staging, lines] = [tableOf(shape.plan), tableOf(shape.staging), tableOf(shape.planLines)];
  const written = writtenColumns(shape.uses).map((name) => sql.id(name));
  await scratchTable(
    tx,
    'incoming',
    sql`component bigint, profile_id uuid, is_new boolean, rows int, ${sql.join(written.map((name) => sql`${name} jsonb`))}`,
  );
  await tx.query(sql`
    INSERT INTO incoming
    SELECT pl.component, pl.profile_id, pl.is_new, pl.rows, ${plainColumns(shape.uses)}
    FROM ${plan} pl JOIN ${staging} s ON s.line = pl.component
    WHERE ${inChunk} AND ${inLines} AND pl.rows = 1 AND NOT pl.is_new`);
  await tx.query(sql`
    INSERT INTO incoming
    SELECT pl.component, pl.profile_id, pl.is_new, pl.rows, ${foldedColumns(shape.uses)}
    FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${staging} s ON s.line = l.line
    WHERE ${inChunk} AND pl.rows > 1
    GROUP BY pl.component, pl.profile_id, pl.is_new, pl.rows`);
}

async function insertSimple(tx: Transaction, context: ChunkContext, touch: boolean): Promise<number> {
  const { shape, inChunk, inLines } = context;
  const { rowCount } = await tx.query(sql`
    INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
    SELECT pl.profile_id, ${shape.workspaceId}::int, ${shape.domainGroupId}::int, ${mergedProperties(shape.uses, sql`s`, undefined)}, ${firstVersion}
    FROM ${tableOf(shape.plan)} pl JOIN ${tableOf(shape.staging)} s ON s.line = pl.component
    WHERE ${inChunk} AND ${inLines} AND pl.is_new AND pl.rows = 1`);
  if (touch) {
    await tx.query(sql`
      INSERT INTO touched (profile_id, component, outcome, version, identities)
      SELECT pl.profile_id, pl.component, 'c', ${firstVersion}, true FROM ${tableOf(shape.plan)} pl WHERE ${inChunk} AND pl.is_new AND pl.rows = 1`);
  }
  return rowCount;
}

async function outboxOfCreated(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<void> {
  await tx.query(sql`
    INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, identities)
    SELECT profile.lane(pl.profile_id), ${shape.workspaceId}::int, pl.profile_id, ${firstVersion}, true
    FROM ${tableOf(shape.plan)} pl WHERE ${inChunk} AND pl.is_new AND pl.rows = 1`);
}

/** Creates and updates the profiles of `incoming`; an unchanged profile's row is not rewritten. */
async function mergeIncoming(tx: Transaction, context: ChunkContext, moved: number): Promise<void> {
  const { shape, inChunk } = context;
  const fresh = mergedProperties(shape.uses, sql`i`, undefined);
  if (moved > 0) {
    await tx.query(sql`
      DELETE FROM incoming i WHERE NOT EXISTS (SELECT FROM ${tableOf(shape.plan)} pl WHERE ${inChunk} AND pl.component = i.component)`);
  }
  await tx.query(sql`
    WITH created AS (
      INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
      SELECT i.profile_id, ${shape.workspaceId}::int, ${shape.domainGroupId}::int, ${shape.uses.clear ? fresh : sql`jsonb_strip_nulls(${fresh})`}, ${firstVersion}
      FROM incoming i WHERE i.is_new ORDER BY i.profile_id
    )
    INSERT INTO touched (profile_id, component, rows, outcome, version, identities)
    SELECT i.profile_id, i.component, i.rows, 'c', ${firstVersion}, true FROM incoming i WHERE i.is_new`);
  const merged = mergedProperties(shape.uses, sql`i`, sql`p.properties`);
  const { overwritten, written, changed } = streamedColumns(context);
  const update = sql`
    WITH updated AS (
      UPDATE profile.profile p
      SET properties = ${merged}, version = ${nextVersion}, changed_xid = pg_current_xact_id(), updated_at = now()
      FROM incoming i
      WHERE NOT i.is_new AND p.id = i.profile_id
        AND (${merged} IS DISTINCT FROM p.properties OR EXISTS (SELECT FROM identity_added a WHERE a.profile_id = i.profile_id))
      RETURNING i.profile_id, i.component, i.rows, new.version, ${written} AS written, ${changed} AS changed
    )
    INSERT INTO touched (profile_id, component, rows, outcome, version, written, changed, identities)
    SELECT u.profile_id, u.component, u.rows, 'u', u.version, u.written, u.changed, EXISTS (SELECT FROM identity_added a WHERE a.profile_id = u.profile_id)
    FROM updated u`;
  const keep = sql`
    INSERT INTO touched (profile_id, component, rows, outcome, version, written)
    SELECT i.profile_id, i.component, i.rows, 'n', p.version, ${overwritten}
    FROM incoming i JOIN profile.profile p ON p.id = i.profile_id
    WHERE NOT i.is_new AND NOT EXISTS (SELECT FROM touched t WHERE t.profile_id = i.profile_id)`;
  await byIndex(tx, async () => {
    await tx.query(update);
    await tx.query(keep);
  });
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
  const overwrites = (name: string): Sql => writesProperty(shape.uses, sql`i`, name);
  const changes = (name: string): Sql =>
    sql`old.properties->${name}::text IS DISTINCT FROM new.properties->${name}::text`;
  const array = (condition: (name: string) => Sql): Sql =>
    sql`array_remove(ARRAY[${sql.join(names.map(({ id, name }) => sql`CASE WHEN ${condition(name)} THEN ${id}::int END`))}], NULL)`;
  return {
    overwritten: array(overwrites),
    changed: array(changes),
    written: shape.uses.fill ? array((name) => sql`(${overwrites(name)} OR ${changes(name)})`) : array(overwrites),
  };
}

async function countOutcomes(
  tx: Transaction,
  counted: boolean,
  created: number,
): Promise<Omit<ChunkCounts, 'moved' | keyof EventCounts | keyof ErasureCounts>> {
  const totals = {
    created,
    updated: 0,
    unchanged: 0,
    profilesCreated: created,
    profilesUpdated: 0,
    profilesUnchanged: 0,
  };
  if (!counted) return totals;
  const { rows } = await tx.query<{ outcome: 'c' | 'u' | 'n'; rows: number; profiles: number }>(
    sql`SELECT outcome, sum(rows)::float8 AS rows, count(*)::float8 AS profiles FROM touched GROUP BY outcome`,
  );
  for (const row of rows) {
    if (row.outcome === 'c') {
      totals.created += row.rows;
      totals.profilesCreated += row.profiles;
    } else if (row.outcome === 'u') {
      totals.updated += row.rows;
      totals.profilesUpdated += row.profiles;
    } else {
      totals.unchanged += row.rows;
      totals.profilesUnchanged += row.profiles;
    }
  }
  return totals;
}

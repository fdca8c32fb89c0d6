import { sql, type Sql, type Transaction } from '@millrace/database';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { firstVersion } from '../profiles/version.js';
import { evaluateSegments } from '../segments/evaluate-segments.js';
import { createTouched } from '../segments/touched.js';
import { writeOutbox } from '../segments/write-outbox.js';
import { applyConsent } from './apply-consent.js';
import { applyEvents, type EventCounts } from './apply-events.js';
import type { ChunkContext } from './chunk-context.js';
import { addIdentities, addNewIdentities } from './add-identities.js';
import { applyGroupChunk } from './apply-group-chunk.js';
import { expectDomainGroup } from './expect-domain-group.js';
import { eraseFlagged, lockMergedAndErased, type ErasureCounts } from './erase-flagged.js';
import { holdBack, holdForeignErasures, holdsBack, nothing, type HeldBackCounts } from './hold-back.js';
import { feedProducts } from './feed-products.js';
import { forgetUnusedGroups, linkGroups, linksGroups, lockLinkedGroups, type GroupLinkCounts } from './link-groups.js';
import {
  collectIncoming,
  incomingOutcomes,
  lockExisting,
  mergeIncoming,
  outboxOfIncoming,
  touchExamples,
  touchIncoming,
} from './merge-incoming.js';
import { mergedProperties } from './merge-properties.js';
import { tableOf, type MergeShape } from './merge-shape.js';
import { recentOfEach } from './recent-profiles.js';

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
  readonly groupsErased?: number;
  /** Links that ended with an erased group. */
  readonly groupsUnlinked?: number;
  /** Rows whose group was erased meanwhile by somebody else, where creation is not allowed. */
  readonly unmatched?: number;
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
  const flagged = sql`${inChunk} AND pl.status = 'e'`;
  if (shape.groupTypeId !== undefined)
    return applyGroupChunk(tx, { shape, groupTypeId: shape.groupTypeId, ...chosen, flagged });
  if (shape.uses.erase !== true) return applyComponents(tx, shape, chosen);
  if (linksGroups(shape)) await lockLinkedGroups(tx, shape, chosen.inChunk);
  await lockMergedAndErased(tx, shape, inChunk);
  const foreign =
    shape.unit === undefined ? nothing : await holdForeignErasures(tx, { shape, inChunk: flagged }, shape.unit);
  const counts = await applyComponents(tx, shape, { ...chosen, groupsLocked: true });
  return {
    ...counts,
    ...(await eraseFlagged(tx, shape, inChunk)),
    otherUnit: (counts.otherUnit ?? 0) + foreign.rows,
    linkedRowsHeldBack: (counts.linkedRowsHeldBack ?? 0) + foreign.linkedRows,
  };
}

/** Applies the components that the conditions choose. */
export async function applyComponents(
  tx: Transaction,
  shape: MergeShape,
  { inChunk, inLines, groupsLocked }: Pick<ChunkContext, 'inChunk' | 'inLines'> & { readonly groupsLocked?: boolean },
): Promise<ChunkCounts> {
  await tx.query(sql`SET LOCAL jit = off`);
  await tx.query(sql`SET LOCAL work_mem = '64MB'`);
  await lockDefinitions(tx, shape.workspaceId, 'shared');
  const catalogue = await loadCatalogue(tx, shape.workspaceId);
  expectDomainGroup(shape, catalogue);
  const context: ChunkContext = {
    shape,
    catalogue,
    inChunk,
    inLines,
    streamed: await streamedProperties(tx, shape.workspaceId),
  };
  let { simple, other, folded } = await countKinds(tx, context);
  let moved = 0;
  if (linksGroups(shape) && groupsLocked !== true) await lockLinkedGroups(tx, shape, inChunk);
  if (other > 0) moved += await lockExisting(tx, context);
  const heldBack = holdsBack(shape) ? await holdBack(tx, context) : undefined;
  if (heldBack !== undefined && heldBack.rows > 0) ({ simple, other, folded } = await countKinds(tx, context));
  if (other > 0) await collectIncoming(tx, context, folded > 0);
  const onlyNew = other === 0 && shape.namespaceIds.length === 1;
  if (simple + other > 0 && !(onlyNew && (await addNewIdentities(tx, context))))
    moved += (await addIdentities(tx, context)).moved;
  // Nothing reads `touched` where a change has no consequences but its outbox row. A batch reads its outcomes from it.
  const touch =
    simple + other > 0 &&
    (catalogue.segments.size > 0 ||
      shape.events !== undefined ||
      shape.uses.consent ||
      linksGroups(shape) ||
      shape.persistence === 'temporary');
  if (touch || other > 0) await createTouched(tx);
  let links: GroupLinkCounts | undefined;
  const created = simple > 0 ? await insertSimple(tx, context, touch) : 0;
  if (other > 0) await mergeIncoming(tx, context, moved);
  if (other > 0) await (touch ? touchIncoming(tx) : touchExamples(tx, recentOfEach));
  if (touch) {
    if (shape.uses.consent) await applyConsent(tx, context);
    if (linksGroups(shape)) links = await linkGroups(tx, context);
  }
  if (linksGroups(shape)) await forgetUnusedGroups(tx);
  const events =
    shape.events === undefined ? { events: 0, eventLines: 0, eventsConflicting: 0 } : await applyEvents(tx, context);
  const products = (shape.productFeeds ?? []).length === 0 ? undefined : await feedProducts(tx, context);
  const streaming = context.streamed !== undefined;
  if (touch) {
    await evaluateSegments(tx, catalogue);
    await writeOutbox(tx, shape.workspaceId, streaming);
  } else if (streaming) {
    if (created > 0) await outboxOfCreated(tx, context);
    if (other > 0) await outboxOfIncoming(tx, shape.workspaceId);
  }
  const counts = touch
    ? await countOutcomes(tx, touchedOutcomes, 0)
    : await countOutcomes(tx, other > 0 ? incomingOutcomes : undefined, created);
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
  /** Those of the other that have several rows. */
  readonly folded: number;
}

async function countKinds(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<Kinds> {
  const { rows } = await tx.query<Kinds>(sql`
    SELECT count(*) FILTER (WHERE is_new AND rows = 1)::float8 AS simple, count(*) FILTER (WHERE NOT (is_new AND rows = 1))::float8 AS other,
      count(*) FILTER (WHERE rows > 1)::float8 AS folded
    FROM ${tableOf(shape.plan)} pl WHERE ${inChunk}`);
  return rows[0]!;
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

const touchedOutcomes = sql`SELECT outcome, sum(rows)::float8 AS rows, count(*)::float8 AS profiles FROM touched GROUP BY outcome`;

/** @param created profiles of one row each that `outcomes` does not hold */
async function countOutcomes(
  tx: Transaction,
  outcomes: Sql | undefined,
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
  if (outcomes === undefined) return totals;
  const { rows } = await tx.query<{ outcome: 'c' | 'u' | 'n'; rows: number; profiles: number }>(outcomes);
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

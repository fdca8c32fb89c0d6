import { sql, type Sql, type Transaction } from '@millrace/database';
import type { ChunkCounts } from './apply-chunk.js';
import { tableOf, type MergeShape } from './merge-shape.js';

/** Ids of profiles, the one with the last row first. */
export interface RecentProfiles {
  readonly created: readonly string[];
  readonly updated: readonly string[];
}

export const recentOfEach = 5;
// New profiles lie close together as a rule: the end of a chunk is read before all of it is.
const endLines = 2000;

/** Examples of what a chunk did: the last profiles it has created and updated. In the chunk's transaction, behind `applyChunk` or `applyMoved`. */
export async function recentProfiles(
  tx: Transaction,
  shape: MergeShape,
  chunk: number,
  { profilesCreated, profilesUpdated }: Pick<ChunkCounts, 'profilesCreated' | 'profilesUpdated'>,
): Promise<RecentProfiles> {
  return {
    created: profilesCreated === 0 ? [] : await recentlyCreated(tx, shape, chunk, profilesCreated),
    updated:
      profilesUpdated === 0
        ? []
        : await ids(tx, sql`SELECT profile_id, component FROM touched WHERE outcome = 'u' AND component IS NOT NULL`),
  };
}

async function recentlyCreated(
  tx: Transaction,
  shape: MergeShape,
  chunk: number,
  wanted: number,
): Promise<readonly string[]> {
  const created = sql`SELECT profile_id, component FROM ${tableOf(shape.plan)} WHERE chunk = ${chunk}::int AND status = 'a' AND is_new`;
  const end = (chunk + 1) * shape.chunkLines;
  const last = await ids(tx, sql`${created} AND component >= ${end - endLines}::bigint AND component < ${end}::bigint`);
  return last.length >= Math.min(recentOfEach, wanted) ? last : ids(tx, created);
}

async function ids(tx: Transaction, candidates: Sql): Promise<readonly string[]> {
  const { rows } = await tx.query<{ profile_id: string }>(
    sql`SELECT profile_id FROM (${candidates}) AS candidate ORDER BY component DESC LIMIT ${recentOfEach}`,
  );
  return rows.map((row) => row.profile_id);
}

import { sql, type Sql, type Transaction } from '@millrace/database';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { eraseProfiles } from '../erase/erase-profiles.js';
import { byIndex } from '../profiles/by-index.js';
import { tableOf, type MergeShape } from './merge-shape.js';

/**
 * Marks the components that hold a row with the delete flag: the profile they found is erased, and no other row of theirs
 * is applied, whichever comes first. Where they found none there is nothing to erase, and they stay unmatched.
 */
export async function markErasures(tx: Transaction, shape: MergeShape): Promise<void> {
  await tx.query(sql`
    UPDATE ${tableOf(shape.plan)} SET status = CASE WHEN is_new THEN 'u' ELSE 'e' END::"char"
    WHERE status = 'a' AND component IN (
      SELECT coalesce(l.component, s.line) FROM ${tableOf(shape.staging)} s
      LEFT JOIN ${tableOf(shape.planLines)} l ON l.line = s.line WHERE s.erase)`);
}

/** Locks a chunk's profiles, those to be merged and those to be erased, by id: both halves of the chunk then lock nothing more. */
export async function lockMergedAndErased(tx: Transaction, shape: MergeShape, inLines: Sql): Promise<void> {
  await lockDefinitions(tx, shape.workspaceId, 'shared');
  const lock = sql`
    SELECT count(*) FROM (
      SELECT p.id FROM profile.profile p
      WHERE p.id IN (SELECT profile_id FROM ${tableOf(shape.plan)} pl WHERE ${inLines} AND pl.status IN ('a', 'e') AND NOT pl.is_new)
      ORDER BY p.id FOR NO KEY UPDATE OF p
    ) AS locked`;
  await byIndex(tx, () => tx.query(lock));
}

export interface ErasureCounts {
  /** Rows of the components whose profile is erased, or was meanwhile by somebody else. */
  readonly erased: number;
  readonly profilesErased: number;
}

/** Erases the profiles of a chunk's marked components; after its identities were added, see `eraseProfiles`. */
export async function eraseFlagged(tx: Transaction, shape: MergeShape, inLines: Sql): Promise<ErasureCounts> {
  const flagged = sql`FROM ${tableOf(shape.plan)} pl WHERE ${inLines} AND pl.status = 'e'`;
  const profilesErased = await eraseProfiles(tx, shape.workspaceId, sql`SELECT pl.profile_id ${flagged}`);
  const { rows } = await tx.query<{ rows: number }>(sql`SELECT coalesce(sum(pl.rows), 0)::float8 AS rows ${flagged}`);
  return { erased: rows[0]?.rows ?? 0, profilesErased };
}

import { sql, type Executor } from '@millrace/database';

/**
 * Removes tombstones of profiles erased so many days ago, some thousand at most; returns how many: call again while it is not 0.
 * What they did ends with them: an import of a file older than the erasure brings the person back, and an export whose last run is
 * older does not tell of the erasure.
 */
export async function removeOldTombstones(executor: Executor, days: number): Promise<number> {
  const { rowCount } = await executor.query(sql`
    DELETE FROM profile.tombstone WHERE profile_id IN (
      SELECT profile_id FROM profile.tombstone WHERE erased_at < now() - ${days}::float8 * interval '1 day' LIMIT 5000)`);
  return rowCount;
}

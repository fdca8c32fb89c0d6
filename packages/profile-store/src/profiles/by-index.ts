import { sql, type Transaction } from '@millrace/database';

/**
 * Runs statements that join a few profiles to the profile table through its key, by nested loops and look-ups alone. The planner
 * does not know that each look-up reaches one hash partition only, and that a temporary table may be tiny: left to itself it reads
 * the whole table. No such statement may join two things without an index: that would be quadratic.
 */
export async function byIndex<T>(tx: Transaction, work: () => Promise<T>): Promise<T> {
  await tx.query(sql`
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)`);
  const result = await work();
  await tx.query(sql`
    SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true), set_config('enable_seqscan', 'on', true)`);
  return result;
}

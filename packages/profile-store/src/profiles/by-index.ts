import { sql, type Transaction } from '@millrace/database';

/**
 * Runs statements that join a few profiles to the profile table through its key, by nested loops alone. The planner does not know
 * that each lookup reaches one hash partition only, and that a temporary table may be tiny: left to itself it reads the whole
 * table. No such statement may join two things without an index: that would be quadratic.
 */
export async function byIndex<T>(tx: Transaction, work: () => Promise<T>): Promise<T> {
  await tx.query(sql`SET LOCAL enable_hashjoin = off`);
  await tx.query(sql`SET LOCAL enable_mergejoin = off`);
  const result = await work();
  await tx.query(sql`SET LOCAL enable_hashjoin TO DEFAULT`);
  await tx.query(sql`SET LOCAL enable_mergejoin TO DEFAULT`);
  return result;
}

import { sql, type Transaction } from '@millrace/database';

/** For one sort or hash table of an export's statement; hash tables take twice as much (hash_mem_multiplier). */
const workMem = '64MB';

/**
 * Settings, for this transaction, of the statements that select what is exported.
 * `lookup` holds the planner to indexes, in the order written: it has no statistics of transaction ids and takes a third
 * of all rows for changed since the watermark, when it is mostly a few. Cursors are read to their end.
 */
export async function tuneSelection(tx: Transaction, access: 'scan' | 'lookup'): Promise<void> {
  const lookup = access === 'lookup';
  const planner = lookup ? 'off' : 'on';
  await tx.query(sql`
    SELECT set_config('work_mem', ${workMem}, true), set_config('jit', 'off', true),
      set_config('enable_seqscan', ${planner}, true), set_config('enable_hashjoin', ${planner}, true),
      set_config('enable_mergejoin', ${planner}, true), set_config('join_collapse_limit', ${lookup ? '1' : '8'}, true),
      set_config('cursor_tuple_fraction', '1', true)`);
}

/**
 * On top of `scan`, for a statement that joins nothing but profiles and the memberships of one segment. Where profiles lie in the order of
 * their ids, to merge both by id takes a tenth less time than a hash table of the members, and no memory; the planner does not count what
 * a large table costs in cache misses.
 */
export async function tuneForOrder(tx: Transaction): Promise<void> {
  await tx.query(sql`
    SELECT set_config('enable_hashjoin', 'off', true) FROM pg_stats
    WHERE schemaname = 'profile' AND tablename LIKE 'profile\\_p%' AND attname = 'id' HAVING min(correlation) > 0.9`);
}

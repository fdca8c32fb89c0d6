import { sql, type Sql } from '@millrace/database';

/** The version of a profile created now: the store's epoch leads, so that after a restore versions still rise. */
export const firstVersion: Sql = sql`(SELECT (epoch::bigint << 40) + 1 FROM profile.store)`;

/** The version of the profile row `p` after any change that a receiver can see. */
export const nextVersion: Sql = sql`greatest(p.version + 1, ${firstVersion})`;

import { sql, type Transaction } from '@millrace/database';

/**
 * The profiles a transaction writes, in a temporary table `touched` that its statements share:
 * `outcome` c(reated), u(pdated) or n(ot changed); `written` and `changed` are the streamed properties' ids.
 */
export async function createTouched(tx: Transaction): Promise<void> {
  await tx.query(sql`
    CREATE TEMP TABLE touched (
      profile_id uuid PRIMARY KEY,
      component bigint,
      rows integer NOT NULL DEFAULT 1,
      outcome "char" NOT NULL,
      version bigint NOT NULL,
      written integer[] NOT NULL DEFAULT '{}',
      changed integer[] NOT NULL DEFAULT '{}',
      identities boolean NOT NULL DEFAULT false,
      consent boolean NOT NULL DEFAULT false
    ) ON COMMIT DROP`);
}

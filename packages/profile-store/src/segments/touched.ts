import { sql, type Transaction } from '@millrace/database';
import { scratchTable } from '../profiles/scratch-table.js';

/**
 * The profiles a transaction writes, in a temporary table `touched` that its statements share:
 * `outcome` c(reated), u(pdated) or n(ot changed); `written` and `changed` are the streamed properties' ids.
 */
export async function createTouched(tx: Transaction): Promise<void> {
  await scratchTable(tx, 'touched', touchedColumns);
}

const touchedColumns = sql`
  profile_id uuid PRIMARY KEY,
  component bigint,
  rows integer NOT NULL DEFAULT 1,
  outcome "char" NOT NULL,
  version bigint NOT NULL,
  written integer[] NOT NULL DEFAULT '{}',
  changed integer[] NOT NULL DEFAULT '{}',
  identities boolean NOT NULL DEFAULT false,
  consent boolean NOT NULL DEFAULT false`;

/** The memberships that a transaction changes, one row for each profile, in a temporary table `segment_change`. */
export async function createSegmentChange(tx: Transaction): Promise<void> {
  await scratchTable(tx, 'segment_change', sql`profile_id uuid NOT NULL, segments uuid[] NOT NULL`);
}

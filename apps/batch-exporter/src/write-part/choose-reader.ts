import { setTimeout as delay } from 'node:timers/promises';
import { type Database, sql } from '@millrace/database';
import { type Lease, leaseRemainingMs } from '@millrace/job-queue';

/** A replica that is further behind than it can make good in this time is not waited for. */
const patienceMs = 5000;
const lookEveryMs = 100;

/** Where the rows of a part are read. */
export interface Reader {
  readonly database: Database;
  readonly isReplica: boolean;
}

export type ReplicaVerdict = 'used' | 'behind' | 'unfit' | 'unreachable';

/**
 * The replica, once it shows everything the primary shows now: the plan with its selection, and whatever the plan's snapshot saw.
 * Otherwise the primary. The watermark is always the primary's snapshot: a replica cannot tell which of the transactions it
 * replays are still open.
 */
export async function chooseReader(
  primary: Database,
  replica: Database | undefined,
  lease: Lease,
  signal: AbortSignal,
): Promise<Reader & { readonly verdict: ReplicaVerdict | undefined }> {
  const fallback = { database: primary, isReplica: false };
  if (replica === undefined) return { ...fallback, verdict: undefined };
  const { rows } = await primary.query<{ lsn: string; system: string }>(sql`
    SELECT pg_current_wal_insert_lsn()::text AS lsn, system_identifier::text AS system FROM pg_control_system()`);
  const [wanted] = rows;
  if (wanted === undefined) throw new Error('a server has one position');
  const until = performance.now() + Math.min(patienceMs, leaseRemainingMs(lease) / 2);
  for (;;) {
    signal.throwIfAborted();
    const state = await lookAt(replica, wanted);
    if (state === 'used') return { database: replica, isReplica: true, verdict: state };
    if (state !== 'behind' || performance.now() > until) return { ...fallback, verdict: state };
    await delay(lookEveryMs, undefined, { signal });
  }
}

async function lookAt(
  replica: Database,
  { lsn, system }: { readonly lsn: string; readonly system: string },
): Promise<ReplicaVerdict> {
  try {
    const { rows } = await replica.query<{ standby: boolean; same: boolean; shows: boolean }>(sql`
      SELECT pg_is_in_recovery() AS standby, system_identifier::text = ${system} AS same,
        coalesce(pg_last_wal_replay_lsn() >= ${lsn}::pg_lsn, false) AS shows
      FROM pg_control_system()`);
    const [state] = rows;
    // One that was promoted, or belongs to another cluster, has a history of its own.
    if (state?.standby !== true || !state.same) return 'unfit';
    return state.shows ? 'used' : 'behind';
  } catch {
    return 'unreachable';
  }
}

import { type Database, sql, type Transaction } from '@millrace/database';

/**
 * Runs statements of a transaction that may take long, and has the server end the one under way when the signal says so:
 * a server that computes does not notice that nobody waits for its answer any more, and goes on holding its locks.
 */
export async function endOnAbort<T>(
  database: Database,
  tx: Transaction,
  signal: AbortSignal,
  work: (backendPid: number) => Promise<T>,
): Promise<T> {
  const { rows } = await tx.query<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`);
  const pid = rows[0]?.pid ?? 0;
  const end = (): void => {
    // What cannot be cancelled has ended, or ends with its lease.
    database.query(sql`SELECT pg_cancel_backend(${pid})`).catch(() => undefined);
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', end, { once: true });
  try {
    return await work(pid);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

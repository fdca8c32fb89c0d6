import { sql, type Executor } from '@millrace/database';

// Advisory lock class of a workspace's definitions; the second key is the workspace id.
const definitionsLock = 7_238_412;

/**
 * The first lock every writer takes: writers share it, a change of segments or stream targets holds it alone,
 * so that after such a change commits no writer still works by the old definitions. Held until the transaction of `tx` ends.
 */
export async function lockDefinitions(tx: Executor, workspaceId: number, mode: 'shared' | 'exclusive'): Promise<void> {
  await tx.query(
    mode === 'shared'
      ? sql`SELECT pg_advisory_xact_lock_shared(${definitionsLock}::int, ${workspaceId}::int)`
      : sql`SELECT pg_advisory_xact_lock(${definitionsLock}::int, ${workspaceId}::int)`,
  );
}

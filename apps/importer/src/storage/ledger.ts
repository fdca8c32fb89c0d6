import { sql, type Executor, type Transaction } from '@millrace/database';
import type { ImportFile, ListedObject } from './files.js';

export interface EarlierImport {
  readonly runId: string;
  readonly finishedAt: Date;
  /** The very same set under the very same configuration; otherwise the same root object, but something else differs. */
  readonly identical: boolean;
}

/** The latest import of this root object by this goal, an identical one before others. */
export async function earlierImport(
  executor: Executor,
  goalId: string,
  bucket: string,
  file: { readonly root: ListedObject; readonly setHash: string; readonly configHash: string },
): Promise<EarlierImport | undefined> {
  const { root, setHash, configHash } = file;
  const { rows } = await executor.query<{ run_id: string; finished_at: Date; identical: boolean }>(sql`
    SELECT run_id, finished_at, set_hash = ${setHash} AND config_hash = ${configHash} AS identical
    FROM importer.ledger
    WHERE goal_id = ${goalId} AND bucket = ${bucket} AND key = ${root.key} AND etag = ${root.etag} AND size = ${root.size}
    ORDER BY 3 DESC, id DESC LIMIT 1`);
  const row = rows[0];
  return row === undefined ? undefined : { runId: row.run_id, finishedAt: row.finished_at, identical: row.identical };
}

/** Whether this goal has imported any object of this key. */
export async function wasImported(executor: Executor, goalId: string, bucket: string, key: string): Promise<boolean> {
  const { rows } = await executor.query<{ found: boolean }>(
    sql`SELECT EXISTS (SELECT FROM importer.ledger WHERE goal_id = ${goalId} AND bucket = ${bucket} AND key = ${key}) AS found`,
  );
  return rows[0]?.found === true;
}

/** Notes that a file is imported, in the transaction that says that all of it was applied. */
export async function recordImport(tx: Transaction, goalId: string, file: ImportFile): Promise<void> {
  const { bucket, root, setHash, configHash, runId } = file;
  await tx.query(sql`
    INSERT INTO importer.ledger (goal_id, bucket, key, etag, size, set_hash, config_hash, run_id)
    VALUES (${goalId}, ${bucket}, ${root.key}, ${root.etag}, ${root.size}, ${setHash}, ${configHash}, ${runId})
    ON CONFLICT (goal_id, bucket, key, set_hash, config_hash)
      DO UPDATE SET etag = excluded.etag, size = excluded.size, run_id = excluded.run_id, finished_at = now()`);
}

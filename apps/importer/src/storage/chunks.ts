import { sql, type Executor, type Transaction } from '@millrace/database';
import type { CountedChunk } from '../run-import/counts.js';

export interface AppliedChunk {
  readonly number: number;
  readonly counts: CountedChunk;
}

/** The chunks of a file that are applied. */
export async function appliedChunks(executor: Executor, fileId: string): Promise<readonly AppliedChunk[]> {
  const { rows } = await executor.query<{ number: number; counts: string }>(
    sql`SELECT number, counts FROM importer.chunk WHERE file_id = ${fileId} ORDER BY number`,
  );
  return rows.map((row) => ({ number: row.number, counts: JSON.parse(row.counts) as CountedChunk }));
}

/** "Chunk k applied": in the transaction that applied it. A second line for one chunk is refused by the key. */
export async function recordChunk(
  tx: Transaction,
  fileId: string,
  number: number,
  counts: CountedChunk,
): Promise<void> {
  await tx.query(
    sql`INSERT INTO importer.chunk (file_id, number, counts) VALUES (${fileId}, ${number}, ${JSON.stringify(counts)})`,
  );
}

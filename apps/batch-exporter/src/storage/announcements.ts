import { type Executor, sql, type Transaction } from '@millrace/database';
import type { ExportKey } from './exports.js';

/** A manifest or a token file that is stored and not yet visible, or was. */
export interface Announcement {
  readonly objectKey: string;
  readonly uploadId: string;
  readonly receipt: string;
}

export async function readAnnouncement(
  executor: Executor,
  { runId, goalId }: ExportKey,
  objectKey: string,
): Promise<Announcement | undefined> {
  const { rows } = await executor.query<{ upload_id: string; upload_receipt: string }>(sql`
    SELECT upload_id, upload_receipt FROM exporter.announcement
    WHERE run_id = ${runId} AND goal_id = ${goalId} AND object_key = ${objectKey}`);
  const [row] = rows;
  return row && { objectKey, uploadId: row.upload_id, receipt: row.upload_receipt };
}

export async function recordAnnouncement(
  tx: Transaction,
  { runId, goalId }: ExportKey,
  { objectKey, uploadId, receipt }: Announcement,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO exporter.announcement (run_id, goal_id, object_key, upload_id, upload_receipt)
    VALUES (${runId}, ${goalId}, ${objectKey}, ${uploadId}, ${receipt})`);
}

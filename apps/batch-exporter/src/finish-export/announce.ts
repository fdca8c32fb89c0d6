import { Readable } from 'node:stream';
import { TransientError } from '@millrace/domain';
import { beginUnderLease, type Lease, LeaseLostError } from '@millrace/job-queue';
import type { Upload } from '@millrace/object-store';
import type { Exporter, ExportWork } from '../run-export/exporter.js';
import { type Announcement, readAnnouncement, recordAnnouncement } from '../storage/announcements.js';
import { removeUploads } from './remove-uploads.js';

export interface SmallObject {
  readonly objectKey: string;
  readonly body: Buffer;
  readonly contentType: string;
}

/**
 * Makes a manifest or a token file visible, once. It goes the way of the files: stored by an upload that is recorded, which is
 * then completed. A request that was long on its way so finds no upload any more, where a simple PUT would bring back what
 * its reader has removed, or what was taken back with the files it names.
 */
export async function announce(
  exporter: Exporter,
  { key, goal, store }: Pick<ExportWork, 'key' | 'goal' | 'store'>,
  object: SmallObject,
  lease: Lease,
): Promise<void> {
  const { bucket } = goal.target;
  const { objectKey } = object;
  const stored =
    (await readAnnouncement(exporter.database, key, objectKey)) ??
    (await storeInvisibly(exporter, { key, goal, store }, object, lease));
  await checkLease(exporter, lease);
  try {
    await store.completeUpload(bucket, objectKey, stored.uploadId, stored.receipt);
  } catch (error) {
    if (!(error instanceof TransientError && error.code === 'upload-lost')) throw error;
    // Only abandoning the export aborts it. So it was completed, by somebody who could not say so, and its reader has removed it.
    await checkLease(exporter, lease);
  }
}

/** A writer that lost its lease announces nothing: its successor may have removed what there was to announce. */
async function checkLease({ database }: Exporter, lease: Lease): Promise<void> {
  await database.transaction((tx) => beginUnderLease(tx, lease));
}

async function storeInvisibly(
  exporter: Exporter,
  { key, goal, store }: Pick<ExportWork, 'key' | 'goal' | 'store'>,
  { objectKey, body, contentType }: SmallObject,
  lease: Lease,
): Promise<Announcement> {
  const { bucket } = goal.target;
  await removeUploads(store, bucket, { objectKey, uploadId: undefined }, async () => checkLease(exporter, lease));
  const upload = await store.startUpload(bucket, objectKey, { expectedBytes: body.length, contentType });
  const receipt = await written(upload, body);
  const stored = { objectKey, uploadId: upload.uploadId, receipt };
  try {
    await exporter.database.transaction(async (tx) => {
      await beginUnderLease(tx, lease);
      await recordAnnouncement(tx, key, stored);
    });
  } catch (error) {
    // Should only the answer to the commit be lost, the upload is needed.
    if (error instanceof LeaseLostError) await upload.abort().catch(() => undefined);
    throw error;
  }
  return stored;
}

async function written(upload: Upload, body: Buffer): Promise<string> {
  try {
    return (await upload.write(Readable.from(body.length === 0 ? [] : [body]))).receipt;
  } catch (error) {
    await upload.abort().catch(() => undefined);
    throw error;
  }
}

import type { ObjectStore } from '@millrace/object-store';
import type { PartRow } from '../storage/parts.js';

/**
 * Aborts the uploads open under the name of a part: the recorded one, and one that a process began and died before it
 * could record it. The name is reserved, so they are all of this export.
 * @param fence Throws when the caller may no longer act. Asked between looking and aborting: what a successor opens, it
 *   opens after that, so it is not among what is aborted here.
 */
export async function removeUploads(
  store: ObjectStore,
  bucket: string,
  part: Pick<PartRow, 'objectKey' | 'uploadId'>,
  fence: () => Promise<void>,
): Promise<void> {
  const found = new Set<string>();
  if (part.uploadId !== undefined) found.add(part.uploadId);
  for await (const upload of store.listUploads(bucket, part.objectKey)) {
    if (upload.key === part.objectKey) found.add(upload.uploadId);
  }
  if (found.size === 0) return;
  await fence();
  for (const uploadId of found) await store.abortUpload(bucket, part.objectKey, uploadId);
}

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

/**
 * Before a delivery: aborts what is open under the names of its parts beside the recorded uploads. Somebody began it and
 * never heard of it, as when the answer to the request was lost.
 */
export async function removeStrayUploads(
  store: ObjectStore,
  bucket: string,
  parts: readonly Pick<PartRow, 'objectKey' | 'uploadId'>[],
  fence: () => Promise<void>,
): Promise<void> {
  const recorded = new Map(parts.map(({ objectKey, uploadId }) => [objectKey, uploadId]));
  const strays: { readonly key: string; readonly uploadId: string }[] = [];
  for await (const { key, uploadId } of store.listUploads(bucket, commonPrefix([...recorded.keys()]))) {
    if (recorded.has(key) && recorded.get(key) !== uploadId) strays.push({ key, uploadId });
  }
  if (strays.length === 0) return;
  await fence();
  for (const { key, uploadId } of strays) await store.abortUpload(bucket, key, uploadId);
}

function commonPrefix([first = '', ...others]: readonly string[]): string {
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length -= 1;
  return first.slice(0, length);
}

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  UploadPartCopyCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { classifyAwsFault } from '@millrace/aws-client';
import { InputError, TransientError } from '@millrace/domain';
import { doneSuffix, type ObjectInfo } from './object-store.js';
import { isUnknownOperation } from './s3-abort.js';
import { s3Name } from './s3-errors.js';
import type { S3Session } from './s3-session.js';

/** CopyObject takes 5 GiB at most; larger objects are copied in ranges. */
const largestSingleCopyBytes = 5 * 1024 ** 3;

/** A rename that can be repeated after a crash at any of its steps. */
export async function copyDone(
  session: S3Session,
  head: (bucket: string, key: string) => Promise<ObjectInfo | undefined>,
  place: { readonly bucket: string; readonly key: string },
  ifMatch: string,
  copyBytes: number = largestSingleCopyBytes,
): Promise<void> {
  const { bucket, key } = place;
  const target = key + doneSuffix;
  const source = await head(bucket, key);
  if (source === undefined) {
    if ((await head(bucket, target)) !== undefined) return;
    throw new InputError('object-not-found', `${s3Name(bucket, key)} does not exist`, { at: s3Name(bucket, key) });
  }
  if (source.etag !== ifMatch) throw changed(bucket, key);

  if (source.size <= copyBytes) await copyWhole(session, bucket, source, target);
  else await copyInRanges(session, bucket, source, target, copyBytes);

  const copy = await head(bucket, target);
  if (copy?.size !== source.size) {
    throw new TransientError(
      'object-store-unavailable',
      `marking ${s3Name(bucket, key)} as done: the copy is not complete`,
      { at: s3Name(bucket, key) },
    );
  }
  await deleteSource(session, head, bucket, source);
}

function changed(bucket: string, key: string): InputError {
  const name = s3Name(bucket, key);
  return new InputError('object-changed', `${name} is no longer the object that was read; it was not marked as done`, {
    at: name,
  });
}

/** `bucket/key`, percent-encoded but for the slashes. */
function copySource(bucket: string, key: string): string {
  return `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
}

async function copyWhole(
  { client, run }: S3Session,
  bucket: string,
  source: ObjectInfo,
  target: string,
): Promise<void> {
  await run({ action: 's3:PutObject', bucket, key: target }, async () =>
    client.send(
      new CopyObjectCommand({
        Bucket: bucket,
        Key: target,
        CopySource: copySource(bucket, source.key),
        CopySourceIfMatch: quoted(source.etag),
      }),
    ),
  );
}

async function copyInRanges(
  { client, run }: S3Session,
  bucket: string,
  source: ObjectInfo,
  target: string,
  copyBytes: number,
): Promise<void> {
  const attempt = { action: 's3:PutObject', bucket, key: target };
  const { UploadId } = await run(attempt, async () =>
    client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: target })),
  );
  const upload = { Bucket: bucket, Key: target, UploadId };
  try {
    const parts: CompletedPart[] = [];
    for (let from = 0; from < source.size; from += copyBytes) {
      const to = Math.min(source.size, from + copyBytes) - 1;
      const PartNumber = parts.length + 1;
      const answer = await run(attempt, async () =>
        client.send(
          new UploadPartCopyCommand({
            ...upload,
            PartNumber,
            CopySource: copySource(bucket, source.key),
            CopySourceRange: `bytes=${from}-${to}`,
            CopySourceIfMatch: quoted(source.etag),
          }),
        ),
      );
      parts.push({ PartNumber, ETag: answer.CopyPartResult?.ETag });
    }
    await run(attempt, async () =>
      client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } })),
    );
  } catch (error) {
    await run({ ...attempt, action: 's3:AbortMultipartUpload' }, async () =>
      client.send(new AbortMultipartUploadCommand(upload)),
    ).catch(() => {});
    throw error;
  }
}

/** Deletes the source if it is still what was copied: conditionally where the service can, else after a last look. */
async function deleteSource(
  { client, run }: S3Session,
  head: (bucket: string, key: string) => Promise<ObjectInfo | undefined>,
  bucket: string,
  source: ObjectInfo,
): Promise<void> {
  const { key } = source;
  const now = await head(bucket, key);
  if (now === undefined) return;
  if (now.etag !== source.etag) throw changed(bucket, key);
  await run({ action: 's3:DeleteObject', bucket, key }, async () => {
    try {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key, IfMatch: quoted(source.etag) }));
    } catch (error) {
      if (!isUnknownOperation(classifyAwsFault(error))) throw error;
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    }
  });
}

export function quoted(etag: string): string {
  return `"${etag}"`;
}

import { createHash } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { classifyAwsFault, withRetries } from '@millrace/aws-client';
import { s3Error } from './s3-errors.js';
import type { S3Session } from './s3-session.js';

/** Object metadata that says which upload made the object. */
export const markName = 'millrace-upload';

export interface UploadIdentity {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
  /** The value of `markName`: unique to this upload. */
  readonly mark: string;
}

/** What another process needs to complete this upload. */
export function receiptOf({ mark }: UploadIdentity, parts: readonly CompletedPart[]): string {
  return JSON.stringify({ mark, etags: parts.map((part) => part.ETag ?? '') });
}

export function readReceipt(receipt: string): { readonly mark: string; readonly parts: readonly CompletedPart[] } {
  const { mark, etags } = JSON.parse(receipt) as { mark: string; etags: readonly string[] };
  return { mark, parts: etags.map((ETag, index) => ({ PartNumber: index + 1, ETag })) };
}

/** Makes the object visible; an answer lost on the way is looked into, also one that an earlier process never saw. */
export async function completeS3Upload(
  session: S3Session,
  upload: UploadIdentity,
  parts: readonly CompletedPart[],
): Promise<void> {
  const { bucket, key, uploadId } = upload;
  const tryToComplete = async (): Promise<void> => {
    try {
      await session.client.send(
        new CompleteMultipartUploadCommand({
          Bucket: bucket,
          Key: key,
          UploadId: uploadId,
          MultipartUpload: { Parts: [...parts] },
        }),
      );
    } catch (error) {
      const fault = classifyAwsFault(error);
      // After a completion that took effect unnoticed, the next try finds no upload.
      if ((fault.maybeDone || fault.code === 'NoSuchUpload') && (await isUploadVisible(session, upload, parts))) return;
      throw error;
    }
  };
  try {
    await withRetries(tryToComplete, session.retry);
  } catch (error) {
    throw s3Error(error, { action: 's3:PutObject', bucket, key });
  }
}

/** Whether the object under the key is what this upload completed to. Asked when the answer to a completion was lost. */
async function isUploadVisible(
  { client }: S3Session,
  upload: UploadIdentity,
  parts: readonly CompletedPart[],
): Promise<boolean> {
  const { bucket, key, mark } = upload;
  try {
    const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    return head.Metadata?.[markName] === mark;
  } catch (error) {
    // HEAD needs GetObject, which an export can do without; then the listing has to tell.
    if (classifyAwsFault(error).kind !== 'access-denied') return false;
  }
  try {
    const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: key, MaxKeys: 1 }));
    const found = page.Contents?.[0];
    return found?.Key === key && found.ETag?.replaceAll('"', '') === compositeEtag(parts);
  } catch {
    return false;
  }
}

/** The ETag S3 gives an object of several parts: the MD5 of their MD5s, and their count. Under KMS it is another; then nothing matches. */
function compositeEtag(parts: readonly CompletedPart[]): string {
  const digest = createHash('md5');
  for (const part of parts) digest.update(Buffer.from(part.ETag?.replaceAll('"', '') ?? '', 'hex'));
  return `${digest.digest('hex')}-${parts.length}`;
}

import { AbortMultipartUploadCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { classifyAwsFault, type AwsFault } from '@millrace/aws-client';
import { TransientError } from '@millrace/domain';
import { s3Name } from './s3-errors.js';
import type { S3Session } from './s3-session.js';

/** Rounds of abort and check; S3's manual asks for more than one while parts may still be arriving. */
const abortRounds = 5;

/** Removes an open upload and looks that no part is left of it. */
export async function abortS3Upload(session: S3Session, bucket: string, key: string, uploadId: string): Promise<void> {
  const { client } = session;
  const upload = { Bucket: bucket, Key: key, UploadId: uploadId };
  for (let round = 1; round <= abortRounds; round += 1) {
    const aborted = await session.run({ action: 's3:AbortMultipartUpload', bucket, key }, async () =>
      unless(isGone, async () => client.send(new AbortMultipartUploadCommand(upload))),
    );
    if (aborted === undefined) return;
    const left = await session.run({ action: 's3:ListMultipartUploadParts', bucket, key }, async () =>
      unless(isGoneOrHidden, async () => client.send(new ListPartsCommand({ ...upload, MaxParts: 1 }))),
    );
    if ((left?.Parts ?? []).length === 0) return;
  }
  throw new TransientError(
    'object-store-unavailable',
    `removing the unfinished upload of ${s3Name(bucket, key)}: parts keep arriving`,
  );
}

async function unless<T>(expected: (fault: AwsFault) => boolean, request: () => Promise<T>): Promise<T | undefined> {
  try {
    return await request();
  } catch (error) {
    if (expected(classifyAwsFault(error))) return undefined;
    throw error;
  }
}

/** Completed or aborted before; or the service has no such operation, and then no way to hold open uploads against it. */
function isGone(fault: AwsFault): boolean {
  return fault.code === 'NoSuchUpload' || isUnknownOperation(fault);
}

/** The look afterwards is a precaution: without the permission for it the abort has to be trusted. */
function isGoneOrHidden(fault: AwsFault): boolean {
  return isGone(fault) || fault.kind === 'access-denied';
}

export function isUnknownOperation(fault: AwsFault): boolean {
  return (
    fault.code === 'NotImplemented' || fault.code === 'MethodNotAllowed' || fault.status === 405 || fault.status === 501
  );
}

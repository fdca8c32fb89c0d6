import { DeleteObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { classifyAwsFault } from '@millrace/aws-client';
import type { ObjectInfo, ObjectStore } from './object-store.js';
import { abortS3Upload } from './s3-abort.js';
import { completeS3Upload, readReceipt } from './s3-completion.js';
import { copyDone } from './s3-done-mark.js';
import { bareEtag, listObjects, listOpenUploads } from './s3-listing.js';
import { checkS3Permissions } from './s3-permissions.js';
import { readS3Object } from './s3-read.js';
import { openS3Session, type S3Session, type S3SessionOptions } from './s3-session.js';
import { startS3Upload } from './s3-upload.js';

export interface S3ObjectStoreOptions extends S3SessionOptions {
  /** The smallest part of an upload: 8 MiB unless given; AWS takes no less than 5 MiB. */
  readonly smallestPartBytes?: number;
  /** Objects above this size are copied in ranges: 5 GiB unless given. */
  readonly copyBytes?: number;
  /** Objects per page of a listing, for tests. */
  readonly pageSize?: number;
}

/** Buckets of Amazon S3, or, with `endpoint`, of a service that speaks its language (addressed by path). */
export function createS3ObjectStore(options: S3ObjectStoreOptions): ObjectStore {
  const session = openS3Session(options);
  const { client, run } = session;
  const head = async (bucket: string, key: string) => headObject(session, bucket, key);
  return {
    list: (bucket, prefix) => listObjects(session, bucket, prefix, options.pageSize),
    head,
    read: async (bucket, key, readOptions = {}) => readS3Object(session, bucket, key, readOptions),
    startUpload: async (bucket, key, uploadOptions = {}) =>
      startS3Upload(session, bucket, key, { ...uploadOptions, smallestPartBytes: options.smallestPartBytes }),
    completeUpload: async (bucket, key, uploadId, receipt) => {
      const { mark, parts } = readReceipt(receipt);
      await completeS3Upload(session, { bucket, key, uploadId, mark }, parts);
    },
    listUploads: (bucket, prefix) => listOpenUploads(session, bucket, prefix),
    abortUpload: async (bucket, key, uploadId) => abortS3Upload(session, bucket, key, uploadId),
    copyDone: async (bucket, key, ifMatch) => copyDone(session, head, { bucket, key }, ifMatch, options.copyBytes),
    delete: async (bucket, key) => {
      await run({ action: 's3:DeleteObject', bucket, key }, async () =>
        client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })),
      );
    },
    check: async (bucket, needs, prefix = '') => checkS3Permissions(session, bucket, needs, prefix),
    close: () => client.destroy(),
  };
}

async function headObject({ client, run }: S3Session, bucket: string, key: string): Promise<ObjectInfo | undefined> {
  const answer = await run({ action: 's3:GetObject', bucket, key }, async () => {
    try {
      return await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    } catch (error) {
      // A HEAD has no body, and so no code: a missing bucket looks like a missing object.
      if (classifyAwsFault(error).status === 404) return undefined;
      throw error;
    }
  });
  if (answer === undefined) return undefined;
  return {
    key,
    size: answer.ContentLength ?? 0,
    etag: bareEtag(answer.ETag),
    lastModified: answer.LastModified ?? new Date(0),
    ...(answer.VersionId === undefined ? {} : { versionId: answer.VersionId }),
  };
}

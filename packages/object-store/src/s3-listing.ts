import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { classifyAwsFault } from '@millrace/aws-client';
import type { ObjectInfo, OpenUpload } from './object-store.js';
import { isUnknownOperation } from './s3-abort.js';
import { s3Error } from './s3-errors.js';
import type { S3Session } from './s3-session.js';

export async function* listObjects(
  { client, run }: S3Session,
  bucket: string,
  prefix: string,
  pageSize: number | undefined,
): AsyncGenerator<ObjectInfo> {
  let token: string | undefined;
  do {
    const page = await run({ action: 's3:ListBucket', bucket }, async () =>
      client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          // Keys may hold characters that XML cannot.
          EncodingType: 'url',
          ...(pageSize === undefined ? {} : { MaxKeys: pageSize }),
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      ),
    );
    for (const item of page.Contents ?? []) {
      const key = decodeKey(item.Key ?? '', page.EncodingType);
      if (key.endsWith('/')) continue;
      yield { key, size: item.Size ?? 0, etag: bareEtag(item.ETag), lastModified: item.LastModified ?? new Date(0) };
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

export async function* listOpenUploads(
  { client, run }: S3Session,
  bucket: string,
  prefix: string,
): AsyncGenerator<OpenUpload> {
  const attempt = { action: 's3:ListBucketMultipartUploads', bucket };
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  do {
    const from: object = marker;
    const page = await run(attempt, async () => {
      try {
        return await client.send(
          new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, EncodingType: 'url', ...from }),
        );
      } catch (error) {
        if (isUnknownOperation(classifyAwsFault(error))) return undefined;
        throw s3Error(error, attempt);
      }
    });
    for (const item of page?.Uploads ?? []) {
      yield {
        key: decodeKey(item.Key ?? '', page?.EncodingType),
        uploadId: item.UploadId ?? '',
        startedAt: item.Initiated ?? new Date(0),
      };
    }
    marker = page?.IsTruncated === true ? nextMarker(page) : undefined;
  } while (marker !== undefined);
}

function nextMarker(page: {
  NextKeyMarker?: string | undefined;
  NextUploadIdMarker?: string | undefined;
  EncodingType?: string | undefined;
}) {
  return {
    ...(page.NextKeyMarker === undefined ? {} : { KeyMarker: decodeKey(page.NextKeyMarker, page.EncodingType) }),
    ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
  };
}

/** Services that do not know the encoding do not echo it either, and send keys as they are. */
function decodeKey(key: string, encoding: string | undefined): string {
  return encoding === 'url' ? decodeURIComponent(key.replaceAll('+', ' ')) : key;
}

/** Without quotation marks, which some services leave out in listings. */
export function bareEtag(etag: string | undefined): string {
  return (etag ?? '').replace(/^W\//, '').replaceAll('"', '');
}

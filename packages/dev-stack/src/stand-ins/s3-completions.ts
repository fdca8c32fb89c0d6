import { createReadStream } from 'node:fs';
import { readFile, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type S3rver from 's3rver';
import type { S3Context, S3Middleware } from 's3rver';
import S3Error from 's3rver/lib/models/error.js';

/**
 * What s3rver 3.7 leaves out of S3 and Millrace depends on: looking at and removing open uploads, conditions on ETags,
 * copies of ranges, and listings in more than one page (its page tokens need a cipher that OpenSSL 3 has dropped).
 * Everything else is passed on to it.
 */
export function completeS3rver(server: S3rver): void {
  // The last middleware is the router; before it, errors are already turned into S3's documents.
  server.middleware.splice(-1, 0, completions);
}

const completions: S3Middleware = async (ctx, next) => {
  const [, bucket = '', ...steps] = ctx.path.split('/').map(decodeURIComponent);
  if (bucket === '') return await next();
  checkAccessKey(ctx);
  if ((await ctx.store.getBucket(bucket)) === null && !(ctx.method === 'PUT' && steps.length === 0)) {
    throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', { BucketName: bucket });
  }
  const key = steps.join('/');
  if (key === '') return await onBucket(ctx, bucket, next);
  if (typeof ctx.query['uploadId'] === 'string')
    return await onUpload(ctx, { bucket, key, id: ctx.query['uploadId'] }, next);
  return await onObject(ctx, bucket, key, next);
};

/** s3rver checks the key id for its own operations only, and no operation's V4 signature. */
function checkAccessKey(ctx: S3Context): void {
  const keyId = /Credential=([^/]+)\//.exec(ctx.headers['authorization'] ?? '')?.[1];
  if (keyId !== undefined && keyId !== 'S3RVER') {
    throw new S3Error('InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.');
  }
}

async function onBucket(ctx: S3Context, bucket: string, next: () => Promise<unknown>): Promise<unknown> {
  if (ctx.method === 'GET' && 'uploads' in ctx.query) return await listUploads(ctx, bucket);
  if (ctx.method === 'GET' && ctx.query['list-type'] === '2') return await listObjects(ctx, bucket);
  return await next();
}

async function listObjects(ctx: S3Context, bucket: string): Promise<void> {
  const { prefix = '', delimiter = '' } = ctx.query;
  const after = ctx.query['continuation-token']
    ? Buffer.from(ctx.query['continuation-token'], 'base64url').toString()
    : (ctx.query['start-after'] ?? '');
  const pageSize = Math.min(1000, Number(ctx.query['max-keys'] ?? 1000));
  const found = await ctx.store.listObjects(bucket, { prefix, delimiter });
  // It lists folder by folder, S3 by the bytes of the keys.
  const objects = found.objects
    .filter(({ key }) => key > after)
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  const page = objects.slice(0, pageSize);
  const isTruncated = page.length < objects.length;
  const encode = ctx.query['encoding-type'] === 'url' ? encodeURIComponent : String;
  ctx.body = {
    ListBucketResult: {
      Name: bucket,
      Prefix: encode(prefix),
      KeyCount: page.length,
      MaxKeys: pageSize,
      IsTruncated: isTruncated,
      ...(ctx.query['encoding-type'] === 'url' ? { EncodingType: 'url' } : {}),
      ...(isTruncated ? { NextContinuationToken: Buffer.from(page.at(-1)?.key ?? '').toString('base64url') } : {}),
      Contents: page.map(({ key, size, metadata, lastModifiedDate }) => ({
        Key: encode(key),
        LastModified: lastModifiedDate.toISOString(),
        ETag: metadata['etag'],
        Size: size,
        StorageClass: 'STANDARD',
      })),
      CommonPrefixes: found.commonPrefixes.map((common) => ({ Prefix: encode(common) })),
    },
  };
}

async function listUploads(ctx: S3Context, bucket: string): Promise<void> {
  const root = uploadPath(ctx, bucket, '');
  const uploads: { Key: string; UploadId: string; Initiated: string }[] = [];
  for (const id of await readdir(root).catch(() => [])) {
    const file = path.join(root, id, 'key');
    const key = await readFile(file, 'utf8').catch(() => undefined);
    if (key?.startsWith(ctx.query['prefix'] ?? '') !== true) continue;
    uploads.push({ Key: key, UploadId: id, Initiated: (await stat(file)).mtime.toISOString() });
  }
  ctx.body = { ListMultipartUploadsResult: { Bucket: bucket, IsTruncated: false, Upload: uploads } };
}

interface UploadName {
  readonly bucket: string;
  readonly key: string;
  readonly id: string;
}

async function onUpload(ctx: S3Context, upload: UploadName, next: () => Promise<unknown>): Promise<unknown> {
  const folder = uploadPath(ctx, upload.bucket, upload.id);
  if ((await readFile(path.join(folder, 'key'), 'utf8').catch(() => undefined)) !== upload.key) {
    throw new S3Error('NoSuchUpload', 'The specified multipart upload does not exist.', { UploadId: upload.id });
  }
  switch (ctx.method) {
    case 'DELETE':
      await rm(folder, { recursive: true, force: true });
      ctx.status = 204;
      return;
    case 'GET':
      return await listParts(ctx, upload, folder);
    case 'PUT':
      return ctx.headers['x-amz-copy-source'] === undefined ? await next() : await copyPart(ctx, upload);
    default:
      return await next();
  }
}

async function listParts(ctx: S3Context, upload: UploadName, folder: string): Promise<void> {
  const numbers = (await readdir(folder)).filter((name) => /^\d+$/.test(name)).map(Number);
  const page = numbers.toSorted((a, b) => a - b).slice(0, Number(ctx.query['max-parts'] ?? 1000));
  const parts = page.map(async (number) => ({
    PartNumber: number,
    Size: (await stat(path.join(folder, String(number)))).size,
    ETag: `"${await readFile(path.join(folder, `${number}.md5`), 'utf8').catch(() => '')}"`,
  }));
  ctx.body = {
    ListPartsResult: {
      Bucket: upload.bucket,
      Key: upload.key,
      UploadId: upload.id,
      IsTruncated: page.length < numbers.length,
      Part: await Promise.all(parts),
    },
  };
}

async function copyPart(ctx: S3Context, upload: UploadName): Promise<void> {
  const source = await checkedCopySource(ctx);
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(ctx.headers['x-amz-copy-source-range'] ?? '') ?? [];
  const file = ctx.store.getResourcePath(source.bucket, source.key, 'object');
  const range = from === undefined ? {} : { start: Number(from), end: Number(to) };
  const { md5 } = await ctx.store.putPart(
    upload.bucket,
    upload.id,
    Number(ctx.query['partNumber']),
    createReadStream(file, range),
  );
  ctx.body = { CopyPartResult: { LastModified: new Date().toISOString(), ETag: `"${md5}"` } };
}

async function onObject(ctx: S3Context, bucket: string, key: string, next: () => Promise<unknown>): Promise<unknown> {
  if (ctx.headers['x-amz-copy-source'] !== undefined) {
    const source = await checkedCopySource(ctx);
    // It decodes with decodeURI, which leaves `%23` and its like as they are.
    ctx.headers['x-amz-copy-source'] = encodeURI(`${source.bucket}/${source.key}`);
  }
  const ifMatch = ctx.headers['if-match'];
  if (ifMatch !== undefined && ['GET', 'HEAD', 'DELETE'].includes(ctx.method))
    await checkEtag(ctx, bucket, key, ifMatch);
  return await next();
}

async function checkedCopySource(ctx: S3Context): Promise<{ bucket: string; key: string }> {
  const [bucket = '', ...steps] = decodeURIComponent(ctx.headers['x-amz-copy-source'] ?? '')
    .replace(/^\//, '')
    .split('/');
  const key = steps.join('/');
  const ifMatch = ctx.headers['x-amz-copy-source-if-match'];
  if (ifMatch !== undefined) await checkEtag(ctx, bucket, key, ifMatch);
  return { bucket, key };
}

async function checkEtag(ctx: S3Context, bucket: string, key: string, expected: string): Promise<void> {
  const metadata = await ctx.store.getMetadata(bucket, key).catch(() => undefined);
  if (metadata === undefined || metadata['etag']?.replaceAll('"', '') === expected.replaceAll('"', '')) return;
  throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
}

function uploadPath(ctx: S3Context, bucket: string, id: string): string {
  if (id.includes('/') || id.includes('..'))
    throw new S3Error('NoSuchUpload', 'The specified multipart upload does not exist.');
  return path.join(ctx.store.getResourcePath(bucket, undefined, 'uploads'), id);
}

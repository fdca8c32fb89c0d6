import { Readable } from 'node:stream';
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { classifyAwsFault } from '@millrace/aws-client';
import { InputError, TransientError } from '@millrace/domain';
import type { ReadOptions } from './object-store.js';
import { ResumingBody, type OpenBody } from './resuming-body.js';
import { quoted } from './s3-done-mark.js';
import { s3Name } from './s3-errors.js';
import { bareEtag } from './s3-listing.js';
import type { S3Session } from './s3-session.js';

/** Opens an object from `offset` on. What is read later, after broken connections, is of the same ETag. */
export async function readS3Object(
  session: S3Session,
  bucket: string,
  key: string,
  options: ReadOptions,
): Promise<Readable> {
  const offset = options.offset ?? 0;
  const first = await get(session, bucket, key, offset, options.ifMatch, options.signal);
  if (first === 'at-end') return Readable.from([], { objectMode: false });
  return new ResumingBody(first, offset, {
    name: s3Name(bucket, key),
    retry: session.retry,
    reopen: async (from, signal) => {
      const rest = await get(session, bucket, key, from, first.etag, signal);
      if (rest === 'at-end') throw changed(bucket, key);
      return rest;
    },
  });
}

interface TaggedBody extends OpenBody {
  readonly etag: string;
}

async function get(
  { client, run }: S3Session,
  bucket: string,
  key: string,
  offset: number,
  ifMatch: string | undefined,
  signal: AbortSignal | undefined,
): Promise<TaggedBody | 'at-end'> {
  const request = async () => {
    try {
      return await client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(offset === 0 ? {} : { Range: `bytes=${offset}-` }),
          ...(ifMatch === undefined ? {} : { IfMatch: quoted(ifMatch) }),
        }),
        signal === undefined ? {} : { abortSignal: signal },
      );
    } catch (error) {
      if (classifyAwsFault(error).code === 'InvalidRange') return 'beyond-end' as const;
      throw error;
    }
  };
  const answer = await run({ action: 's3:GetObject', bucket, key }, request, signal);
  if (answer === 'beyond-end') return 'at-end';
  return checkedBody(answer, bucket, key, offset, ifMatch);
}

function checkedBody(
  answer: GetObjectCommandOutput,
  bucket: string,
  key: string,
  offset: number,
  ifMatch: string | undefined,
): TaggedBody {
  const name = s3Name(bucket, key);
  const { Body: body, ContentLength: length } = answer;
  const etag = bareEtag(answer.ETag);
  if (!(body instanceof Readable) || length === undefined) {
    throw new TransientError('object-store-unavailable', `reading ${name}: the answer has no length`, { at: name });
  }
  // Not every compatible service heeds If-Match and Range.
  if (ifMatch !== undefined && etag !== ifMatch) {
    body.destroy();
    throw changed(bucket, key);
  }
  if (offset > 0 && answer.ContentRange?.startsWith(`bytes ${offset}-`) !== true) {
    body.destroy();
    throw new TransientError(
      'object-store-unavailable',
      `reading ${name}: the store does not read from byte ${offset} on`,
      { at: name },
    );
  }
  return { body, length, etag };
}

function changed(bucket: string, key: string): InputError {
  const name = s3Name(bucket, key);
  return new InputError('object-changed', `${name} was replaced while it was read; run the import again`, { at: name });
}

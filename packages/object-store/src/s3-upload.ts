import { createHash, randomUUID, type Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { CreateMultipartUploadCommand, UploadPartCommand, type CompletedPart } from '@aws-sdk/client-s3';
import { TransientError } from '@millrace/domain';
import type { Upload, UploadOptions, WriteSummary } from './object-store.js';
import { PartBuffers } from './part-buffers.js';
import { maxParts, partBytes, partsInFlight } from './part-plan.js';
import { abortS3Upload } from './s3-abort.js';
import { completeS3Upload, markName, receiptOf, type UploadIdentity } from './s3-completion.js';
import { s3Name } from './s3-errors.js';
import type { S3Session } from './s3-session.js';

export interface S3UploadOptions extends UploadOptions {
  /** The smallest part, in bytes. */
  readonly smallestPartBytes?: number | undefined;
}

/** Opens a multipart upload, whatever the size: an upload that fails then leaves no half of an object. */
export async function startS3Upload(
  session: S3Session,
  bucket: string,
  key: string,
  options: S3UploadOptions,
): Promise<Upload> {
  const mark = randomUUID();
  const answer = await session.run({ action: 's3:PutObject', bucket, key }, async () =>
    session.client.send(
      new CreateMultipartUploadCommand({
        Bucket: bucket,
        Key: key,
        Metadata: { [markName]: mark },
        ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
      }),
    ),
  );
  if (answer.UploadId === undefined)
    throw new TransientError(
      'object-store-unavailable',
      `starting to write ${s3Name(bucket, key)}: the store named no upload id`,
    );
  return new S3Upload(session, { bucket, key, uploadId: answer.UploadId, mark }, options);
}

class S3Upload implements Upload {
  readonly uploadId: string;
  readonly #session: S3Session;
  readonly #identity: UploadIdentity;
  readonly #options: S3UploadOptions;
  readonly #stopped = new AbortController();
  readonly #buffers = new PartBuffers();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #parts: CompletedPart[] = [];
  #state: 'open' | 'writing' | 'written' | 'completed' | 'failed' | 'aborted' = 'open';
  #source: Readable | undefined;
  #writing: Promise<WriteSummary> | undefined;

  constructor(session: S3Session, identity: UploadIdentity, options: S3UploadOptions) {
    this.#session = session;
    this.#identity = identity;
    this.#options = options;
    this.uploadId = identity.uploadId;
  }

  async write(source: Readable): Promise<WriteSummary> {
    if (this.#state !== 'open') throw new Error(`an upload is written once; this one is ${this.#state}`);
    this.#state = 'writing';
    this.#source = source;
    this.#writing = this.#store(source);
    return await this.#writing;
  }

  async #store(source: Readable): Promise<WriteSummary> {
    const digest = createHash('sha256');
    try {
      const bytes = await this.#cut(source, digest);
      await Promise.all(this.#inFlight);
      if (this.#state !== 'writing') throw new Error('the upload was aborted while it was written');
      this.#state = 'written';
      return {
        bytes,
        sha256: digest.digest('hex'),
        parts: this.#parts.length,
        receipt: receiptOf(this.#identity, this.#parts),
      };
    } catch (error) {
      if (this.#state === 'writing') this.#state = 'failed';
      this.#stopped.abort();
      source.destroy();
      await Promise.allSettled(this.#inFlight);
      throw error;
    }
  }

  /** Cuts the source into parts and has them sent; returns the bytes read. Parts may still be in flight. */
  async #cut(source: Readable, digest: Hash): Promise<number> {
    const { expectedBytes, smallestPartBytes } = this.#options;
    let bytes = 0;
    let number = 1;
    let buffer = this.#buffers.take(partBytes(number, expectedBytes, smallestPartBytes));
    let used = 0;
    for await (const piece of source) {
      let rest: Buffer = typeof piece === 'string' ? Buffer.from(piece) : (piece as Buffer);
      bytes += rest.length;
      digest.update(rest);
      while (used + rest.length > buffer.length) {
        buffer.set(rest.subarray(0, buffer.length - used), used);
        rest = rest.subarray(buffer.length - used);
        await this.#dispatch(number, buffer, buffer.length);
        number += 1;
        buffer = this.#buffers.take(partBytes(number, expectedBytes, smallestPartBytes));
        used = 0;
      }
      buffer.set(rest, used);
      used += rest.length;
    }
    // An empty object is one empty part: S3 completes nothing without parts.
    await this.#dispatch(number, buffer, used);
    return bytes;
  }

  /** Begins to send a part; waits while as many as allowed are on their way. */
  async #dispatch(number: number, buffer: Buffer, used: number): Promise<void> {
    if (number > maxParts) {
      throw new TransientError(
        'object-too-large',
        `writing ${this.#name}: longer than ${maxParts} parts of the size planned for ${this.#options.expectedBytes ?? 'an unknown number of'} bytes; give a higher bound`,
      );
    }
    while (this.#inFlight.size >= partsInFlight(buffer.length)) await Promise.race(this.#inFlight);
    const sending = this.#send(number, buffer.subarray(0, used)).then(() => this.#buffers.giveBack(buffer));
    this.#inFlight.add(sending);
    sending.then(
      () => this.#inFlight.delete(sending),
      // Left in the set, so that whoever waits for the parts sees it; the source may be waiting for its own producer.
      (error: Error) => this.#source?.destroy(error),
    );
  }

  async #send(number: number, body: Buffer): Promise<void> {
    const { bucket, key, uploadId } = this.#identity;
    const { signal } = this.#stopped;
    const answer = await this.#session.run(
      { action: 's3:PutObject', bucket, key },
      async () =>
        this.#session.client.send(
          new UploadPartCommand({
            Bucket: bucket,
            Key: key,
            UploadId: uploadId,
            PartNumber: number,
            Body: body,
            ContentLength: body.length,
          }),
          { abortSignal: signal },
        ),
      signal,
    );
    if (answer.ETag === undefined)
      throw new TransientError('object-store-unavailable', `writing ${this.#name}: part ${number} got no ETag`);
    this.#parts[number - 1] = { PartNumber: number, ETag: answer.ETag };
  }

  async complete(): Promise<void> {
    if (this.#state === 'completed') return;
    if (this.#state !== 'written')
      throw new Error(`only an upload whose source was read to its end can be completed; this one is ${this.#state}`);
    await completeS3Upload(this.#session, this.#identity, this.#parts);
    this.#state = 'completed';
  }

  async abort(): Promise<void> {
    if (this.#state === 'completed') return;
    this.#state = 'aborted';
    this.#stopped.abort();
    this.#source?.destroy();
    // A part that arrives after the abort would stay, invisible and paid for.
    await this.#writing?.catch(() => {});
    const { bucket, key, uploadId } = this.#identity;
    await abortS3Upload(this.#session, bucket, key, uploadId);
  }

  get #name(): string {
    return s3Name(this.#identity.bucket, this.#identity.key);
  }
}

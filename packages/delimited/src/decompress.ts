import { Readable, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { InputError } from '@millrace/domain';
import { isZip, unzipped } from './unzip.js';

export interface DecompressLimits {
  /** Decompressed bytes after which the file is refused: a few kilobytes can unpack to terabytes. */
  readonly maxOutputBytes: number;
}

/** Fewer, larger pieces than zlib's own 16 KiB: each costs a trip through the thread pool. */
const chunkBytes = 128 * 1024;

/**
 * Unpacks a source that begins like gzip or zip and passes any other on as it is, whatever its name says. Several gzip
 * members behind one another are one text; a zip holds one file. Compression runs in libuv's thread pool.
 *
 * The stream ends with InputError `gzip-truncated`, `gzip-damaged` or `gzip-too-large`, those of `unzipped`, or with the source's error;
 * destroying it destroys the source.
 */
export function decompress(source: Readable, limits: DecompressLimits): Readable {
  const chunks = decompressed(source, limits);
  const stream = new Readable({
    highWaterMark: 2 * chunkBytes,
    read() {
      chunks.next().then(
        ({ done, value }) => this.push(done === true ? null : value),
        (error: Error) => this.destroy(error),
      );
    },
    destroy(error, callback) {
      // The source first: a generator that waits for a silent source would never hear of its end.
      source.destroy();
      chunks.return(undefined).catch(() => {});
      callback(error);
    },
  });
  // Heard before anybody reads: an error without a listener would end the process.
  source.once('error', (error) => stream.destroy(error));
  return stream;
}

async function* decompressed(source: Readable, { maxOutputBytes }: DecompressLimits): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<Buffer> = source[Symbol.asyncIterator]();
  try {
    const head = await takeHead(chunks);
    const isGzip = head[0] === 0x1f && head[1] === 0x8b;
    const whole = rejoin(head, chunks);
    if (isGzip) yield* gunzipped(whole, maxOutputBytes);
    else if (isZip(head)) yield* unzipped(whole, maxOutputBytes);
    else yield* whole;
  } finally {
    await chunks.return?.();
    source.destroy();
  }
}

async function* gunzipped(compressed: AsyncGenerator<Buffer>, maxOutputBytes: number): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  let sourceError: Error | undefined;
  const input = Readable.from(compressed, { objectMode: false });
  input.once('error', (error) => (sourceError = error));
  pipeline(input, gunzip, () => {});
  let bytes = 0;
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxOutputBytes) {
        const message = `the file unpacks to more than ${maxOutputBytes} bytes; raise the limit if that is right`;
        throw new InputError('gzip-too-large', message);
      }
      yield chunk;
    }
  } catch (error) {
    throw sourceError ?? explain(error);
  } finally {
    gunzip.destroy();
    input.destroy();
  }
}

function explain(error: unknown): unknown {
  // Not `instanceof Error`: zlib's errors come from Node's own realm, which is another one in tests.
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (code === 'Z_BUF_ERROR') {
    const message = 'the gzip file ends before its end: it was cut off, probably while it was written; send it again';
    return new InputError('gzip-truncated', message, { cause: error });
  }
  if (code === 'Z_DATA_ERROR') {
    const message = 'the gzip file is damaged: its checksum or its compressed data is wrong; send it again';
    return new InputError('gzip-damaged', message, { cause: error });
  }
  return error;
}

async function takeHead(chunks: AsyncIterator<Buffer>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < 4) {
    const { done, value } = await chunks.next();
    if (done === true) break;
    head = head.length === 0 ? Buffer.from(value) : Buffer.concat([head, value]);
  }
  return head;
}

async function* rejoin(head: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  for (;;) {
    const { done, value } = await chunks.next();
    if (done === true) return;
    yield value;
  }
}

import { Readable, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { byteStream, withHead } from '@millrace/byte-stream';
import { InputError } from '@millrace/domain';
import { isZip, unzipped } from './unzip.js';

export interface DecompressLimits {
  /** Decompressed bytes after which the file is refused: a few kilobytes can unpack to terabytes. */
  readonly maxOutputBytes: number;
}

/** Fewer, larger pieces than zlib's own 16 KiB: each costs a trip through the thread pool. */
const chunkBytes = 128 * 1024;
/** Enough to know gzip and zip by. */
const magicBytes = 4;

/**
 * Unpacks a source that begins like gzip or zip and passes any other on as it is, whatever its name says. Several gzip
 * members behind one another are one text; a zip holds one file. Compression runs in libuv's thread pool.
 *
 * The stream ends with InputError `gzip-truncated`, `gzip-damaged` or `gzip-too-large`, those of `unzipped`, or with the source's error;
 * destroying it destroys the source.
 */
export function decompress(source: Readable, limits: DecompressLimits): Readable {
  return byteStream(decompressed(source, limits), source);
}

async function* decompressed(source: Readable, { maxOutputBytes }: DecompressLimits): AsyncGenerator<Buffer> {
  const { head, chunks } = await withHead(source, magicBytes);
  if (head[0] === 0x1f && head[1] === 0x8b) yield* gunzipped(chunks, maxOutputBytes);
  else if (isZip(head)) yield* unzipped(chunks, maxOutputBytes);
  else yield* chunks;
}

async function* gunzipped(compressed: AsyncGenerator<Buffer>, maxOutputBytes: number): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  let sourceError: Error | undefined;
  const fed = new FedBytes(compressed);
  const input = Readable.from(fed.chunks(), { objectMode: false });
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
    await fed.checkRest(gunzip.bytesWritten);
  } catch (error) {
    throw sourceError ?? explain(error);
  } finally {
    gunzip.destroy();
    input.destroy();
  }
}

/**
 * What zlib was given. It stops at a zero behind a member, because files are padded with zeros, and forgets what follows:
 * were that another member, its rows would be lost without a word. The rest is read to its end in any case, so that
 * whoever counts or sums the source's bytes sees all of them.
 */
class FedBytes {
  readonly #source: AsyncGenerator<Buffer>;
  #bytes = 0;
  #last = Buffer.alloc(0);

  constructor(source: AsyncGenerator<Buffer>) {
    this.#source = source;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    // Not `for await`: the source stays open when zlib wants no more of it.
    for (let next = await this.#source.next(); next.done !== true; next = await this.#source.next()) {
      this.#last = next.value as Buffer<ArrayBuffer>;
      this.#bytes += next.value.length;
      yield next.value;
    }
  }

  /** @throws InputError `gzip-damaged` where anything but zeros stands behind what was unpacked */
  async checkRest(unpackedBytes: number): Promise<void> {
    const unused = Math.min(this.#bytes - unpackedBytes, this.#last.length);
    let rest: Buffer = this.#last.subarray(this.#last.length - unused);
    for (;;) {
      if (rest.some((byte) => byte !== 0)) {
        const message =
          'the gzip file goes on behind zeros that should end it; pack the whole content anew, or send several files';
        throw new InputError('gzip-damaged', message);
      }
      const next = await this.#source.next();
      if (next.done === true) return;
      rest = next.value;
    }
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

import type { Readable } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';
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
  let failure: { readonly error: unknown } | undefined;
  const feeding = feed(gunzip, compressed).catch((error: unknown) => {
    failure = { error };
    gunzip.destroy();
  });
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
    await feeding;
    if (failure !== undefined) throw failure.error;
  } catch (error) {
    throw error instanceof InputError ? error : explain(failure?.error ?? error, error);
  } finally {
    gunzip.destroy();
  }
}

/**
 * Gives zlib the whole source, piece by piece. It stops at a zero behind a member, because files are padded with zeros:
 * were another member behind those, its rows would be lost without a word. The padding is read to its end, so that whoever
 * counts the source's bytes sees all of them.
 * @throws InputError `gzip-damaged` where anything but zeros stands behind what was unpacked
 */
async function feed(gunzip: Gunzip, source: AsyncGenerator<Buffer>): Promise<void> {
  let fed = 0;
  let ended = false;
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    let rest = next.value;
    if (!ended) {
      fed += rest.length;
      await write(gunzip, rest);
      const unused = fed - gunzip.bytesWritten;
      ended = unused > 0;
      rest = rest.subarray(rest.length - unused);
    }
    if (rest.some((byte) => byte !== 0)) {
      const message = 'the gzip file goes on behind zeros that should end it; pack the whole content anew';
      throw new InputError('gzip-damaged', message);
    }
  }
  if (!ended) gunzip.end();
}

async function write(gunzip: Gunzip, piece: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    gunzip.write(piece, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}

/** @param shown what the reader of the stream was told; zlib's own error stands in one of the two */
function explain(cause: unknown, shown: unknown): unknown {
  // Not `instanceof Error`: zlib's errors come from Node's own realm, which is another one in tests.
  const codeOf = (error: unknown): unknown =>
    typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  const codes = [codeOf(cause), codeOf(shown)];
  if (codes.includes('Z_BUF_ERROR')) {
    const message = 'the gzip file ends before its end: it was cut off, probably while it was written; send it again';
    return new InputError('gzip-truncated', message, { cause });
  }
  if (codes.includes('Z_DATA_ERROR')) {
    const message = 'the gzip file is damaged: its checksum or its compressed data is wrong; send it again';
    return new InputError('gzip-damaged', message, { cause });
  }
  return cause;
}

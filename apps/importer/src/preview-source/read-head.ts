import { Readable } from 'node:stream';
import { decryptPgp, isPgp } from '@millrace/crypto';
import { decompress, sniffWrapping } from '@millrace/delimited';
import type { PgpKeys } from '@millrace/domain';
import type { ObjectStore } from '@millrace/object-store';
import { peek, privateKeyOf } from '../stage-file/open-table.js';

/** Plain bytes that are enough for a first look. */
const plainBytes = 256 * 1024;
/** Stored bytes read at most: compressed and encrypted text is smaller than the text, short of a bad joke. */
const storedBytes = 2 * 1024 * 1024;

export interface HeadSource {
  readonly store: ObjectStore;
  readonly bucket: string;
  readonly object: { readonly key: string; readonly etag: string };
  /** With opened secrets. */
  readonly pgp: PgpKeys | undefined;
  readonly signal: AbortSignal;
}

export interface FileHead {
  /** Outermost first. */
  readonly wrapping: readonly ('pgp' | 'gzip' | 'zip')[];
  /** Empty where the wrapping cannot be opened. */
  readonly plain: Buffer;
  /** Whether `plain` is all there is. */
  readonly whole: boolean;
  /** Bytes of the stored object that were read. */
  readonly bytesRead: number;
}

/**
 * The first bytes of an object, decrypted and decompressed as far as its content says so. What comes out of an encrypted
 * file is unproven: its integrity stands at its end. Good for a look, not for an import.
 * @throws InputError, TransientError
 */
export async function readHead({ store, bucket, object, pgp, signal }: HeadSource): Promise<FileHead> {
  const body = await store.read(bucket, object.key, { ifMatch: object.etag });
  const abandon = (): void => void body.destroy();
  signal.addEventListener('abort', abandon, { once: true });
  const meter = { bytes: 0, cut: false };
  const wrapping: ('pgp' | 'gzip' | 'zip')[] = [];
  try {
    signal.throwIfAborted();
    let layer = await peek(bounded(body, meter));
    if (isPgp(layer.head)) {
      wrapping.push('pgp');
      const options = { ...privateKeyOf(pgp), requireSignature: false, maxOutputBytes: Number.MAX_SAFE_INTEGER };
      layer = await peek(tolerant(decryptPgp(layer.rest, options), meter));
    }
    const packing = sniffWrapping(layer.head);
    if (packing !== undefined) wrapping.push(packing);
    const plain = tolerant(decompress(layer.rest, { maxOutputBytes: Number.MAX_SAFE_INTEGER }), meter);
    const { bytes, ended } = await take(plain, plainBytes);
    return { wrapping, plain: bytes, whole: ended && !meter.cut, bytesRead: meter.bytes };
  } finally {
    signal.removeEventListener('abort', abandon);
    body.destroy();
  }
}

interface Meter {
  bytes: number;
  /** The object goes on behind what was read. */
  cut: boolean;
}

function bounded(body: Readable, meter: Meter): Readable {
  return Readable.from(
    (async function* () {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        if (meter.bytes >= storedBytes) {
          meter.cut = true;
          return;
        }
        meter.bytes += chunk.length;
        yield chunk;
      }
    })(),
    { objectMode: false },
  );
}

/** What is cut off on purpose ends early without being damaged. */
function tolerant(source: Readable, meter: Meter): Readable {
  return Readable.from(
    (async function* () {
      try {
        yield* source as AsyncIterable<Buffer>;
      } catch (error) {
        if (!meter.cut) throw error;
      }
    })(),
    { objectMode: false },
  );
}

async function take(source: Readable, limit: number): Promise<{ readonly bytes: Buffer; readonly ended: boolean }> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > limit) return { bytes: Buffer.concat(chunks).subarray(0, limit), ended: false };
  }
  return { bytes: Buffer.concat(chunks), ended: true };
}

import { Readable } from 'node:stream';
import { decryptPgp, isPgp } from '@millrace/crypto';
import { decompress, isZip, readTable, type Table } from '@millrace/delimited';
import { InputError, TransientError, type CsvDialect, type PgpKeys } from '@millrace/domain';
import type { ObjectStore } from '@millrace/object-store';
import type { ListedObject } from '../storage/files.js';
import { aboutFile } from './about-file.js';
import { ExpectedContent } from './check-expected.js';

/** Of the service. */
export interface RecordLimits {
  readonly recordBytes?: number;
  readonly maxRecordBytes?: number;
}

/** The dialect with the size of a row that the goal and the service agree on. */
function withRecordLimit(dialect: CsvDialect, { recordBytes, maxRecordBytes = Infinity }: RecordLimits): CsvDialect {
  const wanted = dialect.maxRecordBytes ?? recordBytes ?? usualRecordBytes;
  return { ...dialect, maxRecordBytes: Math.min(wanted, maxRecordBytes) };
}

const usualRecordBytes = 1024 * 1024;

export interface OpenOptions {
  readonly store: ObjectStore;
  readonly bucket: string;
  readonly object: ListedObject;
  readonly dialect: CsvDialect;
  /** With opened secrets. */
  readonly pgp: PgpKeys | undefined;
  /** Of the plain text: what a small file may unfold to. */
  readonly maxPlainBytes: number;
  readonly recordLimits?: RecordLimits;
  readonly signal: AbortSignal;
  /** Bytes of the stored object, as they arrive. */
  readonly onBytes: (bytes: number) => void;
}

export interface OpenedTable extends Table {
  /** Gives up what has not been read, so that no connection stays open. Harmless after the end. */
  close(): void;
}

const pgpExtension = /\.(pgp|gpg|asc)$/i;
const gzipExtension = /\.gz$/i;
const zipExtension = /\.zip$/i;

/**
 * Opens an object as a table: object -> [PGP] -> [gzip or zip] -> rows. What the bytes are decides, not the name, but a name
 * that promises PGP, gzip or zip must keep its word. Errors name the file; those of a damaged end come last, in `batches`.
 * @throws InputError, TransientError
 */
export async function openTable(options: OpenOptions): Promise<OpenedTable> {
  const { store, bucket, object, dialect, pgp, maxPlainBytes, signal } = options;
  let body: Readable | undefined;
  // A source that delivers nothing must not keep an import from ending.
  const abandon = (): void => void body?.destroy();
  signal.addEventListener('abort', abandon, { once: true });
  const close = (): void => {
    signal.removeEventListener('abort', abandon);
    body?.destroy();
  };
  try {
    body = await store.read(bucket, object.key, { ifMatch: object.etag, signal });
    signal.throwIfAborted();
    const stored = await peek(counted(body, options));
    const isEncrypted = isPgp(stored.head);
    let name = object.key;
    if (pgpExtension.test(name)) {
      if (!isEncrypted) throw new InputError('not-pgp', 'the name says OpenPGP, but the file holds no OpenPGP message');
      name = name.replace(pgpExtension, '');
    }
    const plain = isEncrypted
      ? await peek(decryptPgp(stored.rest, { ...privateKeyOf(pgp), maxOutputBytes: maxPlainBytes }))
      : stored;
    if (gzipExtension.test(name) && !isGzip(plain.head))
      throw new InputError('not-gzip', 'the name says gzip, but the content is not gzip');
    if (zipExtension.test(name) && !isZip(plain.head))
      throw new InputError('not-zip', 'the name says zip, but the content is not zip');
    const text = decompress(plain.rest, { maxOutputBytes: maxPlainBytes });
    const table = await readTable(text, withRecordLimit(dialect, options.recordLimits ?? {}), { signal });
    return { ...table, batches: namingErrors(table.batches, object.key), close };
  } catch (error) {
    close();
    throw aboutFile(error, object.key);
  }
}

/** The connection's part in decrypting. @throws InputError `pgp-key-missing` */
export function privateKeyOf(pgp: PgpKeys | undefined): {
  privateKey: string;
  passphrase?: string;
  verifiers: readonly string[];
  requireSignature: boolean;
} {
  if (pgp?.privateKey === undefined) {
    throw new InputError(
      'pgp-key-missing',
      'the file is encrypted with OpenPGP, and the connection has no private key: add one to the connection',
    );
  }
  return {
    privateKey: pgp.privateKey,
    ...(pgp.passphrase === undefined ? {} : { passphrase: pgp.passphrase }),
    verifiers: pgp.verifiers,
    // Whoever names the senders' keys wants their signature.
    requireSignature: pgp.verifiers.length > 0,
  };
}

function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** Counts what arrives, and holds it against the size in the listing and against what a manifest says. */
function counted(body: Readable, { object, onBytes }: OpenOptions): Readable {
  const expected = new ExpectedContent(object);
  return Readable.from(
    (async function* () {
      let bytes = 0;
      for await (const chunk of body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        onBytes(chunk.length);
        expected.add(chunk);
        yield chunk;
      }
      if (bytes !== object.size) {
        throw new TransientError('object-cut', `${bytes} of ${object.size} bytes arrived`);
      }
      expected.checkSum();
    })(),
    { objectMode: false },
  );
}

const headBytes = 512;

/** The first bytes of a stream, and a stream of all of it. */
export async function peek(source: Readable): Promise<{ readonly head: Uint8Array; readonly rest: Readable }> {
  const chunks = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < headBytes) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  const rest = Readable.from(
    (async function* () {
      try {
        if (head.length > 0) yield head;
        for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
      } finally {
        source.destroy();
      }
    })(),
    { objectMode: false },
  );
  return { head, rest };
}

async function* namingErrors<T>(batches: AsyncIterable<T>, key: string): AsyncGenerator<T> {
  try {
    yield* batches;
  } catch (error) {
    throw aboutFile(error, key);
  }
}

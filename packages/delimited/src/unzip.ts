import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';
import { InputError } from '@millrace/domain';

// Why by hand: a zip is a list of entries with a directory behind them. Libraries either need the directory, and with it
// random access (yauzl), or check neither sums nor ends of a stream (unzipper, fflate). Layout: APPNOTE.TXT 6.3.10, section 4.3.
const signatures = { entry: 0x04034b50, descriptor: 0x08074b50, directory: 0x02014b50, end: 0x06054b50 } as const;
const chunkBytes = 128 * 1024;
/** The end record is 22 bytes, and a comment of 65,535 may follow. */
const tailBytes = 65_557;

export function isZip(head: Uint8Array): boolean {
  return head[0] === 0x50 && head[1] === 0x4b && ((head[2] === 3 && head[3] === 4) || (head[2] === 5 && head[3] === 6));
}

/**
 * The one file in a zip, as a stream. Folders and what macOS adds (`__MACOSX/`) do not count. Sums and sizes are checked.
 * @throws InputError `zip-truncated`, `zip-damaged`, `zip-too-large`, `zip-encrypted`, `zip-unsupported`, `zip-several-files`,
 * `zip-empty`, `not-delimited-text`
 */
export async function* unzipped(source: AsyncGenerator<Buffer>, maxOutputBytes: number): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source);
  const budget = { left: maxOutputBytes, max: maxOutputBytes };
  let found = false;
  for (;;) {
    const signature = (await reader.take(4)).readUInt32LE();
    if (signature === signatures.entry) {
      const entry = await readEntry(reader);
      refuseOffice(entry.name);
      if (isAside(entry.name)) {
        for await (const _ of contentOf(entry, reader, budget));
        continue;
      }
      if (found) throw new InputError('zip-several-files', 'the zip holds several files: put one file into each zip');
      found = true;
      yield* contentOf(entry, reader, budget);
    } else if (signature === signatures.directory || signature === signatures.end) {
      if (!found) throw new InputError('zip-empty', 'the zip holds no file');
      return await reader.drain(signature);
    } else throw damaged();
  }
}

interface Entry {
  readonly name: string;
  readonly deflated: boolean;
  /** Undefined: known only behind the data. */
  readonly sums: { readonly crc: number; readonly packed: number; readonly plain: number } | undefined;
}

interface Budget {
  left: number;
  readonly max: number;
}

function isAside(name: string): boolean {
  return name.endsWith('/') || name.startsWith('__MACOSX/');
}

// The first entry of every such document, as their standards demand or their writers do.
function refuseOffice(name: string): void {
  if (name !== '[Content_Types].xml' && name !== 'mimetype') return;
  throw new InputError('not-delimited-text', 'the file is a workbook or another office document: save it as CSV');
}

async function readEntry(reader: ByteReader): Promise<Entry> {
  const head = await reader.take(26);
  const flags = head.readUInt16LE(2);
  const method = head.readUInt16LE(4);
  const name = (await reader.take(head.readUInt16LE(22))).toString('utf8');
  const extra = await reader.take(head.readUInt16LE(24));
  if ((flags & 1) !== 0 || method === 99)
    throw new InputError('zip-encrypted', 'the zip is protected with a password: use OpenPGP instead, or none');
  const deflated = method === 8;
  const streamed = (flags & 8) !== 0;
  if ((!deflated && method !== 0) || (streamed && !deflated)) {
    throw new InputError('zip-unsupported', `the zip uses compression method ${method}: make it with "deflate"`);
  }
  if (streamed) return { name, deflated, sums: undefined };
  const large = zip64Sizes(extra, head.readUInt32LE(18), head.readUInt32LE(14));
  return { name, deflated, sums: { crc: head.readUInt32LE(10), ...large } };
}

/** Sizes that do not fit 32 bits stand in the extra field 1, the plain one first. */
function zip64Sizes(extra: Buffer, plain: number, packed: number): { plain: number; packed: number } {
  const full = 0xffffffff;
  if (plain !== full && packed !== full) return { plain, packed };
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const sizes: number[] = [];
    for (let size = at + 4; size + 8 <= Math.min(extra.length, at + 4 + extra.readUInt16LE(at + 2)); size += 8)
      sizes.push(Number(extra.readBigUInt64LE(size)));
    return {
      plain: plain === full ? (sizes.shift() ?? plain) : plain,
      packed: packed === full ? (sizes.shift() ?? packed) : packed,
    };
  }
  throw damaged();
}

async function* contentOf(entry: Entry, reader: ByteReader, budget: Budget): AsyncGenerator<Buffer> {
  let crc = 0;
  let plain = 0;
  for await (const chunk of entry.deflated ? inflated(reader) : reader.pass(entry.sums?.packed ?? 0)) {
    crc = crc32(chunk, crc);
    plain += chunk.length;
    budget.left -= chunk.length;
    if (budget.left < 0) {
      const message = `the file unpacks to more than ${budget.max} bytes; raise the limit if that is right`;
      throw new InputError('zip-too-large', message);
    }
    yield chunk;
  }
  const sums = entry.sums ?? (await readDescriptor(reader));
  // Sizes behind the data may have been cut to 32 bits.
  if (sums.crc !== crc || sums.plain % 2 ** 32 !== plain % 2 ** 32) throw damaged();
}

/** The sums behind the data: with or without a signature, sizes of 32 or of 64 bits; what follows tells. */
async function readDescriptor(reader: ByteReader): Promise<{ readonly crc: number; readonly plain: number }> {
  let first = (await reader.take(4)).readUInt32LE();
  if (first === signatures.descriptor) first = (await reader.take(4)).readUInt32LE();
  const sizes = await reader.peek(20);
  const isNext = (at: number): boolean => at + 2 <= sizes.length && sizes[at] === 0x50 && sizes[at + 1] === 0x4b;
  const wide = !isNext(8) && isNext(16);
  const taken = await reader.take(wide ? 16 : 8);
  return { crc: first, plain: wide ? Number(taken.readBigUInt64LE(8)) : taken.readUInt32LE(4) };
}

/** Unpacks one deflate stream and leaves what follows it to the reader. */
async function* inflated(reader: ByteReader): AsyncGenerator<Buffer> {
  const inflate = createInflateRaw({ chunkSize: chunkBytes });
  let failure: unknown;
  const feeding = feed(inflate, reader).catch((error: unknown) => {
    failure = error;
    inflate.destroy();
  });
  try {
    for await (const chunk of inflate as AsyncIterable<Buffer>) yield chunk;
    await feeding;
  } catch (error) {
    throw failure instanceof InputError ? failure : explain(failure ?? error, error);
  } finally {
    inflate.destroy();
  }
}

// One piece at a time: when the stream is at its end, what it did not take is the rest of the last piece.
async function feed(inflate: InflateRaw, reader: ByteReader): Promise<void> {
  for (let fed = 0; ;) {
    const piece = await reader.piece();
    fed += piece.length;
    await new Promise<void>((resolve, reject) => {
      inflate.write(piece, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    });
    const unused = fed - inflate.bytesWritten;
    if (unused === 0) continue;
    reader.giveBack(piece.subarray(piece.length - unused));
    return;
  }
}

function explain(cause: unknown, shown: unknown): unknown {
  const codeOf = (error: unknown): unknown =>
    typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return [cause, shown].some((error) => codeOf(error) === 'Z_DATA_ERROR') ? damaged(shown) : cause;
}

function damaged(cause?: unknown): InputError {
  return new InputError('zip-damaged', 'the zip file is damaged: its structure or a checksum is wrong; send it again', {
    cause,
  });
}

/** Takes bytes in measured portions from pieces of any size. */
class ByteReader {
  readonly #source: AsyncGenerator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncGenerator<Buffer>) {
    this.#source = source;
  }

  /** What is held, or the next piece; never empty. */
  async piece(): Promise<Buffer> {
    while (this.#held.length === 0) {
      const { done, value } = await this.#source.next();
      if (done === true) {
        const message =
          'the zip file ends before its end: it was cut off, probably while it was written; send it again';
        throw new InputError('zip-truncated', message);
      }
      this.#held = value;
    }
    const piece = this.#held;
    this.#held = Buffer.alloc(0);
    return piece;
  }

  giveBack(bytes: Buffer): void {
    this.#held = bytes;
  }

  async take(bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let missing = bytes;
    while (missing > 0) {
      const piece = await this.piece();
      pieces.push(piece.subarray(0, missing));
      if (piece.length > missing) this.giveBack(piece.subarray(missing));
      missing -= Math.min(missing, piece.length);
    }
    return Buffer.concat(pieces);
  }

  /** Up to so many bytes, which stay. */
  async peek(bytes: number): Promise<Buffer> {
    while (this.#held.length < bytes) {
      const { done, value } = await this.#source.next();
      if (done === true) break;
      this.#held = Buffer.concat([this.#held, value]);
    }
    return this.#held.subarray(0, bytes);
  }

  async *pass(bytes: number): AsyncGenerator<Buffer> {
    for (let missing = bytes; missing > 0;) {
      const piece = await this.piece();
      if (piece.length > missing) this.giveBack(piece.subarray(missing));
      yield piece.subarray(0, missing);
      missing -= Math.min(missing, piece.length);
    }
  }

  /** Reads to the end, where the end record must be; `signature` was taken already. */
  async drain(signature: number): Promise<void> {
    let tail: Buffer = this.#held;
    for (let next = await this.#source.next(); next.done !== true; next = await this.#source.next())
      tail = Buffer.concat([tail, next.value]).subarray(-tailBytes);
    const at = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
    if (signature === signatures.end ? tail.length >= 18 : at >= 0 && tail.length - at >= 22) return;
    const message = 'the zip file ends before its end: it was cut off, probably while it was written; send it again';
    throw new InputError('zip-truncated', message);
  }
}

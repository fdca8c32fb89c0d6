import type { Readable } from 'node:stream';

const nothing = Buffer.alloc(0);

/** Takes a source in pieces of one size: small chunks are put together, large ones cut. */
export class BytePieces {
  /** Bytes handed out so far. */
  bytesRead = 0;

  readonly #iterator: AsyncIterator<unknown>;
  readonly #source: Readable;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => {
    this.#source.destroy(this.#signal?.reason instanceof Error ? this.#signal.reason : new Error('aborted'));
  };
  #chunk: Buffer = nothing;
  #ended = false;
  readonly #pieceBytes: number;

  constructor(source: Readable, pieceBytes: number, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#pieceBytes = pieceBytes;
    this.#signal = signal;
    this.#iterator = source[Symbol.asyncIterator]();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted === true) this.#onAbort();
  }

  /** The next piece, or undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    this.#signal?.throwIfAborted();
    const pieceBytes = this.#pieceBytes;
    let piece = this.#chunk;
    if (piece.length < pieceBytes && !this.#ended) piece = await this.#gather(piece);
    this.#chunk = piece.subarray(pieceBytes);
    if (piece.length > pieceBytes) piece = piece.subarray(0, pieceBytes);
    this.bytesRead += piece.length;
    return piece.length === 0 ? undefined : piece;
  }

  /** Destroys the source if it has not ended. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    await this.#iterator.return?.();
    this.#source.destroy();
  }

  async #gather(first: Buffer): Promise<Buffer> {
    const parts = first.length === 0 ? [] : [first];
    let { length } = first;
    while (length < this.#pieceBytes) {
      const { done, value } = await this.#iterator.next();
      if (done === true) {
        this.#ended = true;
        break;
      }
      const chunk = asBuffer(value);
      if (chunk.length === 0) continue;
      parts.push(chunk);
      length += chunk.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, length);
  }
}

function asBuffer(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (typeof chunk === 'string') return Buffer.from(chunk);
  throw new TypeError('a source of delimited text must deliver bytes');
}

import { Transform, type TransformCallback } from 'node:stream';

/** Compressing has a cost per call; COPY hands out 8 KiB at a time. */
const pieceBytes = 128 * 1024;

/** Begins with `head` and puts small chunks together, so that what follows is called a few times per megabyte. */
export class Coalesce extends Transform {
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(head: Buffer) {
    super({ readableHighWaterMark: 2 * pieceBytes, writableHighWaterMark: 2 * pieceBytes });
    this.#add(head);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#add(chunk);
    if (this.#bytes >= pieceBytes) this.push(this.#take());
    callback();
  }

  override _flush(callback: TransformCallback): void {
    if (this.#bytes > 0) this.push(this.#take());
    callback();
  }

  #add(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  #take(): Buffer {
    const [first] = this.#chunks;
    const piece = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [];
    this.#bytes = 0;
    return piece;
  }
}

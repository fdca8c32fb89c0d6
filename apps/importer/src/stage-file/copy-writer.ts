import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';

// Large enough that a write costs little per row, small enough that memory stays flat.
const writeCharacters = 128 * 1024;

/** Gathers encoded lines and writes them to a COPY in large pieces, never faster than the server takes them. */
export class CopyWriter {
  readonly #stream: Writable;
  readonly #ended: Promise<void>;
  #failure: Error | undefined;
  #text = '';

  constructor(stream: Writable) {
    this.#stream = stream;
    this.#ended = finished(stream);
    this.#ended.catch((error: unknown) => {
      this.#failure = error instanceof Error ? error : new Error('COPY failed', { cause: error });
    });
  }

  /** Adds one encoded line; `flush` when this returns true. */
  add(line: string): boolean {
    this.#text += line;
    return this.#text.length >= writeCharacters;
  }

  /** Writes what was gathered; resolves when more may be added. Throws what the COPY failed with. */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#text === '') return;
    const bytes = Buffer.from(this.#text, 'utf8');
    this.#text = '';
    if (this.#stream.write(bytes)) return;
    // A COPY that fails never drains.
    const waiting = new AbortController();
    try {
      await Promise.race([once(this.#stream, 'drain', { signal: waiting.signal }), this.#ended]);
    } finally {
      waiting.abort();
    }
  }

  /** Resolves when the server has taken everything. */
  async end(): Promise<void> {
    await this.flush();
    this.#stream.end();
    await this.#ended;
  }

  /** Makes the server forget the COPY; resolves when the connection is free again. Never rejects. */
  async abort(reason: Error): Promise<void> {
    this.#text = '';
    if (!this.#stream.closed) this.#stream.destroy(reason);
    await this.#ended.catch(() => undefined);
  }
}

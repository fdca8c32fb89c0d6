import type { BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { types } from 'node:util';
import { InputError } from '@millrace/domain';
import type { ReadOptions } from './object-store.js';

/** Which file, how long, when written: another after every change, without reading the content. */
export function etagOf(stats: BigIntStats): string {
  return `${stats.ino.toString(36)}-${stats.size.toString(36)}-${stats.mtimeNs.toString(36)}`;
}

export function changed(name: string): InputError {
  return new InputError('object-changed', `${name} is no longer the file that was found; run the import again`, {
    at: name,
  });
}

/** `name` is for messages: `bucket/key`. */
export async function openFile(file: string, name: string, options: ReadOptions): Promise<Readable> {
  const handle = await open(file, 'r');
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) throw new InputError('object-not-found', `${name} is a folder, not a file`, { at: name });
    const etag = etagOf(stats);
    if (options.ifMatch !== undefined && options.ifMatch !== etag) throw changed(name);
    return new FileBody(handle, options.offset ?? 0, etag, name);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const chunkBytes = 256 * 1024;

/** The open file is read even if another takes its name; one that is written to meanwhile is found out at its end. */
class FileBody extends Readable {
  readonly #handle: FileHandle;
  readonly #etag: string;
  readonly #name: string;
  #position: number;

  constructor(handle: FileHandle, offset: number, etag: string, name: string) {
    super({ highWaterMark: chunkBytes });
    this.#handle = handle;
    this.#position = offset;
    this.#etag = etag;
    this.#name = name;
  }

  override _read(): void {
    this.#next().then(
      (chunk) => {
        if (!this.destroyed) this.push(chunk);
      },
      (error: unknown) =>
        this.destroy(types.isNativeError(error) ? error : new Error('reading failed', { cause: error })),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#handle.close().then(
      () => callback(error),
      (closing: Error) => callback(error ?? closing),
    );
  }

  async #next(): Promise<Buffer | null> {
    const { bytesRead, buffer } = await this.#handle.read(
      Buffer.allocUnsafeSlow(chunkBytes),
      0,
      chunkBytes,
      this.#position,
    );
    this.#position += bytesRead;
    if (bytesRead > 0) return buffer.subarray(0, bytesRead);
    if (etagOf(await this.#handle.stat({ bigint: true })) !== this.#etag) throw changed(this.#name);
    return null;
  }
}

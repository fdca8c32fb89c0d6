import { Readable } from 'node:stream';

/**
 * A byte stream of what a generator yields. It ends with the source's error where the source has one; destroying it
 * destroys the source at once.
 */
export function byteStream(chunks: AsyncGenerator<Uint8Array>, source: Readable): Readable {
  const stream = new Readable({
    highWaterMark: 256 * 1024,
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
  // Heard before anybody reads, and before the generator makes something else of it.
  source.once('error', (error) => stream.destroy(error));
  return stream;
}

/** The source's chunks, the first of which holds at least `bytes` bytes unless the source is shorter. */
export async function withHead(
  source: Readable,
  bytes: number,
): Promise<{ head: Buffer; chunks: AsyncGenerator<Buffer> }> {
  const iterator: AsyncIterator<Buffer> = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  let ended = false;
  while (head.length < bytes && !ended) {
    const { done, value } = await iterator.next();
    if (done === true) ended = true;
    else head = head.length === 0 ? Buffer.from(value) : Buffer.concat([head, value]);
  }
  async function* rejoined(): AsyncGenerator<Buffer> {
    try {
      if (head.length > 0) yield head;
      while (!ended) {
        const { done, value } = await iterator.next();
        if (done === true) return;
        yield value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { head, chunks: rejoined() };
}

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

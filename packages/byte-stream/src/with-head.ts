import type { Readable } from 'node:stream';

/**
 * Looks at the beginning of a source without losing it. `head` holds at least `bytes` bytes unless the source is
 * shorter; `chunks` is the whole source again, beginning with the head. Ending `chunks` early ends the source.
 */
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

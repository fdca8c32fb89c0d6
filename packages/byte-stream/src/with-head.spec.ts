import { Readable } from 'node:stream';
import { withHead } from './with-head.js';

const bytes = (...parts: readonly string[]): Readable => Readable.from(parts.map((part) => Buffer.from(part)));

async function whole(chunks: AsyncGenerator<Buffer>): Promise<string> {
  const seen: Buffer[] = [];
  for await (const chunk of chunks) seen.push(chunk);
  return Buffer.concat(seen).toString();
}

describe('withHead', () => {
  it('joins chunks until the head is long enough, and loses nothing', async () => {
    const { head, chunks } = await withHead(bytes('a', 'bc', 'def', 'g'), 4);
    expect(head.toString()).toBe('abcdef');
    expect(await whole(chunks)).toBe('abcdefg');
  });

  it('gives a shorter head where the source is shorter', async () => {
    const { head, chunks } = await withHead(bytes('ab'), 4);
    expect(head.toString()).toBe('ab');
    expect(await whole(chunks)).toBe('ab');
  });

  it('gives nothing for an empty source', async () => {
    const { head, chunks } = await withHead(bytes(), 4);
    expect(head).toHaveLength(0);
    expect(await whole(chunks)).toBe('');
  });

  it('ends the source where nobody reads on', async () => {
    const source = bytes('abcd', 'efgh');
    const { chunks } = await withHead(source, 4);
    await chunks.next();
    await chunks.return(undefined);
    expect(source.destroyed).toBe(true);
  });
});

import { gathered } from './gathered.js';

async function* chunksOf(...parts: readonly string[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

async function read(chunks: AsyncIterable<Buffer>): Promise<readonly string[]> {
  const seen: string[] = [];
  for await (const chunk of chunks) seen.push(chunk.toString());
  return seen;
}

describe('gathered', () => {
  it('joins chunks until there are enough bytes, and ends with what is left', async () => {
    expect(await read(gathered(chunksOf('a', 'bc', '', 'defgh', 'i'), 3))).toEqual(['abc', 'defgh', 'i']);
  });

  it('has no chunk where there are no bytes', async () => {
    expect(await read(gathered(chunksOf('', ''), 3))).toEqual([]);
  });

  it("ends with the source's error, and what was waiting is not handed on", async () => {
    async function* cut(): AsyncGenerator<Buffer> {
      yield Buffer.from('ab');
      throw new Error('cut off');
    }
    const chunks = gathered(cut(), 3);
    await expect(chunks.next()).rejects.toThrow('cut off');
  });
});

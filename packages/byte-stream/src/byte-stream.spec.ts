import { Readable } from 'node:stream';
import { byteStream } from './byte-stream.js';

async function* doubled(source: Readable): AsyncGenerator<Buffer> {
  for await (const chunk of source as AsyncIterable<Buffer>) yield Buffer.concat([chunk, chunk]);
}

const read = async (stream: Readable): Promise<string> => Buffer.concat(await stream.toArray()).toString();

describe('byteStream', () => {
  it('is what the generator yields', async () => {
    const source = Readable.from([Buffer.from('ab'), Buffer.from('c')]);
    expect(await read(byteStream(doubled(source), source))).toBe('ababcc');
  });

  it("ends with the generator's error", async () => {
    const source = Readable.from([Buffer.from('ab')]);
    async function* failing(): AsyncGenerator<Buffer> {
      yield Buffer.from('x');
      throw new Error('cannot go on');
    }
    await expect(read(byteStream(failing(), source))).rejects.toThrow('cannot go on');
  });

  it("ends with the source's error although nobody has read yet", async () => {
    const source = new Readable({ read: () => undefined });
    const stream = byteStream(doubled(source), source);
    const ended = new Promise<Error>((resolve) => stream.once('error', resolve));
    source.destroy(new Error('cut off'));
    expect((await ended).message).toBe('cut off');
  });

  it('destroys a silent source when it is destroyed', async () => {
    const source = new Readable({ read: () => undefined });
    const stream = byteStream(doubled(source), source);
    stream.resume();
    const closed = new Promise((resolve) => source.once('close', resolve));
    stream.destroy();
    await closed;
    expect(source.destroyed).toBe(true);
  });
});

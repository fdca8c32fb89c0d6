import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { decompress } from './decompress.js';

const limits = { maxOutputBytes: 1024 * 1024 * 1024 };

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function inChunks(bytes: Buffer, size: number): Readable {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return Readable.from(chunks, { objectMode: false });
}

describe('decompress', () => {
  it('passes on what is not gzip, whatever its length', async () => {
    for (const text of ['', '\x1f', 'a,b\n1,2\n']) {
      expect((await collect(decompress(inChunks(Buffer.from(text, 'latin1'), 1), limits))).toString('latin1')).toBe(
        text,
      );
    }
  });

  it('unpacks several members as one text, wherever the chunks are cut', async () => {
    const packed = Buffer.concat([gzipSync('one\n'), gzipSync(''), gzipSync('two\n'), gzipSync('three\n')]);
    for (let size = 1; size <= packed.length; size++) {
      expect((await collect(decompress(inChunks(packed, size), limits))).toString()).toBe('one\ntwo\nthree\n');
    }
  });

  it('tells a cut file from a whole one at every length', async () => {
    const packed = Buffer.concat([gzipSync('one\n'), gzipSync('two\n')]);
    const memberEnd = gzipSync('one\n').length;
    const endings: string[] = [];
    for (let length = 2; length < packed.length; length++) {
      const result = collect(decompress(inChunks(packed.subarray(0, length), 5), limits));
      endings.push(await result.then(String, (error: unknown) => (error as { code: string }).code));
    }
    const expected = endings.map((_, index) => (index + 2 === memberEnd ? 'one\n' : 'gzip-truncated'));
    expect(endings).toEqual(expected);
  });

  it('refuses a damaged file', async () => {
    const packed = gzipSync(randomBytes(5000));
    packed[packed.length - 6] = (packed[packed.length - 6] as number) ^ 1;
    await expect(collect(decompress(inChunks(packed, 1000), limits))).rejects.toMatchObject({ code: 'gzip-damaged' });
  });

  it('stops a file that unpacks to more than the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000));
    await expect(collect(decompress(inChunks(bomb, 1000), { maxOutputBytes: 1_000_000 }))).rejects.toMatchObject({
      code: 'gzip-too-large',
    });
  });

  it("ends with the source's own error", async () => {
    const packed = gzipSync(randomBytes(300_000));
    for (const bytes of [packed, Buffer.alloc(300_000, 'x')]) {
      let sent = 0;
      const source = new Readable({
        read() {
          if (sent > 0) this.destroy(new Error('connection reset'));
          else this.push(bytes.subarray(0, 200_000));
          sent += 1;
        },
      });
      await expect(collect(decompress(source, limits))).rejects.toThrow('connection reset');
    }
  });

  it('destroys the source when it is given up', async () => {
    const packed = gzipSync(randomBytes(3_000_000));
    const source = inChunks(packed, 10_000);
    for await (const chunk of decompress(source, limits)) {
      expect((chunk as Buffer).length).toBeGreaterThan(0);
      break;
    }
    expect(source.destroyed).toBe(true);

    const silent = new Readable({ read() {} });
    decompress(silent, limits).destroy();
    expect(silent.destroyed).toBe(true);
  });
});

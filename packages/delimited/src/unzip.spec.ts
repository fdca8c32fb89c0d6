import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32, deflateRawSync } from 'node:zlib';
import { decompress } from './decompress.js';

interface Options {
  readonly streamed?: boolean;
  readonly stored?: boolean;
  readonly wide?: boolean;
  readonly flags?: number;
  readonly method?: number;
  readonly unsigned?: boolean;
}

const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
const u64 = (value: number): Buffer => Buffer.concat([u32(value), u32(0)]);

function entry(name: string, content: string | Buffer, options: Options = {}): Buffer {
  const plain = Buffer.from(content);
  const data = options.stored === true ? plain : deflateRawSync(plain);
  const size = options.wide === true ? u64 : u32;
  const method = options.method ?? (options.stored === true ? 0 : 8);
  const flags = (options.flags ?? 0) | (options.streamed === true ? 8 : 0);
  const sizes = [u32(crc32(plain)), u32(data.length), u32(plain.length)];
  const extra =
    options.wide === true && options.streamed !== true
      ? Buffer.concat([u16(0xcafe), u16(2), u16(7), u16(1), u16(16), u64(plain.length), u64(data.length)])
      : Buffer.alloc(0);
  const inHead =
    options.streamed === true ? [u32(0), u32(0), u32(0)] : extra.length > 0 ? [sizes[0]!, u32(-1), u32(-1)] : sizes;
  const head = [
    u32(0x04034b50),
    u16(20),
    u16(flags),
    u16(method),
    u32(0),
    ...inHead,
    u16(name.length),
    u16(extra.length),
  ];
  const behind = [
    ...(options.unsigned === true ? [] : [u32(0x08074b50)]),
    u32(crc32(plain)),
    size(data.length),
    size(plain.length),
  ];
  return Buffer.concat([...head, Buffer.from(name), extra, data, ...(options.streamed === true ? behind : [])]);
}

/** Entries with a directory that is only as good as it must be. */
function zip(...entries: Buffer[]): Buffer {
  const directory = entries.length === 0 ? [] : [u32(0x02014b50), Buffer.alloc(42)];
  return Buffer.concat([...entries, ...directory, u32(0x06054b50), Buffer.alloc(18)]);
}

async function unpack(bytes: Buffer, pieceBytes = 1000, maxOutputBytes = 1e9): Promise<string> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  const chunks: Buffer[] = [];
  for await (const chunk of decompress(Readable.from(pieces, { objectMode: false }), { maxOutputBytes }))
    chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}

const codeOf = (result: Promise<string>): Promise<string> =>
  result.catch((error: unknown) => (error as { code?: string }).code ?? String(error));

describe('a zip', () => {
  const text = 'id,name\n1,Ann\n'.repeat(50);

  it.each<[string, Options]>([
    ['deflated', {}],
    ['stored', { stored: true }],
    ['written as a stream', { streamed: true }],
    ['written as a stream, without signature', { streamed: true, unsigned: true }],
    ['written as a stream, with large sizes', { streamed: true, wide: true }],
    ['with large sizes', { wide: true }],
  ])('that is %s gives its file, wherever the pieces are cut', async (_, options) => {
    const bytes = zip(entry('people.csv', text, options));
    for (let size = 1; size <= bytes.length; size++) expect(await unpack(bytes, size)).toBe(text);
  });

  it('may hold folders and what macOS adds', async () => {
    const bytes = zip(
      entry('in/', '', { stored: true }),
      entry('in/a.csv', text),
      entry('__MACOSX/in/._a.csv', 'x', { streamed: true }),
    );
    expect(await unpack(bytes)).toBe(text);
  });

  it('that was cut is told from a whole one at every length', async () => {
    const bytes = zip(entry('people.csv', 'id\n1\n', { streamed: true }));
    for (let length = 4; length < bytes.length; length++)
      expect(await codeOf(unpack(bytes.subarray(0, length)))).toBe('zip-truncated');
  });

  it.each([
    ['zip-several-files', zip(entry('a.csv', 'a'), entry('b.csv', 'b'))],
    ['zip-encrypted', zip(entry('a.csv', 'a', { flags: 1 }))],
    ['zip-unsupported', zip(entry('a.csv', 'a', { method: 14 }))],
    ['not-delimited-text', zip(entry('[Content_Types].xml', '<xml/>'), entry('xl/workbook.xml', ''))],
    ['zip-empty', zip()],
    ['zip-empty', zip(entry('folder/', '', { stored: true }))],
  ])('is refused: %s', async (code, bytes) => {
    expect(await codeOf(unpack(bytes))).toBe(code);
  });

  it('that is damaged is refused', async () => {
    const content = randomBytes(3000);
    for (const options of [{}, { stored: true }, { streamed: true }]) {
      const bytes = zip(entry('a.csv', content, options));
      bytes[1500] = bytes[1500]! ^ 1;
      expect(await codeOf(unpack(bytes))).toBe('zip-damaged');
    }
  });

  it('that unpacks to more than the limit is stopped', async () => {
    const bytes = zip(entry('a.csv', Buffer.alloc(20_000_000)));
    expect(await codeOf(unpack(bytes, 1000, 1_000_000))).toBe('zip-too-large');
  });

  it('made by Python is read', async () => {
    const script = `
import io, sys, zipfile
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive: archive.writestr('a.csv', 'id\\n' + '1\\n' * 100000)
sys.stdout.buffer.write(buffer.getvalue())`;
    let bytes: Buffer;
    try {
      bytes = execFileSync('python3', ['-c', script], { maxBuffer: 1e8 });
    } catch {
      return; // no Python here
    }
    expect(await unpack(bytes)).toBe(`id\n${'1\n'.repeat(100_000)}`);
  });
});

import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { createMessage, encrypt, enums, generateKey, readKey, readPrivateKey } from 'openpgp';
import { decryptPgp, encryptPgp } from '../src/index.js';
import { collect, digest, inChunks, outcome } from './streams.js';

const maxOutputBytes = 1_000_000_000;

async function newKey(): Promise<{ publicKey: string; privateKey: string }> {
  const { publicKey, privateKey } = await generateKey({
    userIDs: [{ name: 'Test', email: 'test@example.org' }],
    type: 'curve25519',
    format: 'armored',
  });
  return { publicKey, privateKey };
}

describe('what came to harm', () => {
  const text = Buffer.concat([Buffer.from('id,name\n'), randomBytes(200_000), gzipSync(randomBytes(1000))]);
  let key: { publicKey: string; privateKey: string };

  beforeAll(async () => {
    key = await newKey();
  });

  const compressed = async (armor: boolean, compression: number): Promise<Buffer> => {
    const common = {
      message: await createMessage({ binary: text }),
      encryptionKeys: await readKey({ armoredKey: key.publicKey }),
      signingKeys: await readPrivateKey({ armoredKey: key.privateKey }),
      config: { preferredCompressionAlgorithm: compression },
    };
    return armor
      ? Buffer.from(await encrypt({ ...common, format: 'armored' }))
      : Buffer.from(await encrypt({ ...common, format: 'binary' }));
  };

  describe.each([
    ['binary', false, enums.compression.uncompressed],
    ['armored', true, enums.compression.uncompressed],
    ['binary and compressed', false, enums.compression.zlib],
    ['armored and compressed', true, enums.compression.zlib],
  ] as const)('%s', (_name, armor, compression) => {
    let message: Buffer;
    const decrypted = (bytes: Buffer): ReturnType<typeof outcome> =>
      outcome(decryptPgp(inChunks(bytes), { privateKey: key.privateKey, maxOutputBytes }));

    beforeAll(async () => {
      message = await compressed(armor, compression);
    });

    it('passes whole', async () => {
      expect(await decrypted(message)).toEqual({ bytes: text.length, code: undefined });
    });

    it.each([0.1, 0.3, 0.5, 0.7, 0.9, 0.999])('never ends well when changed at %d of its length', async (part) => {
      const changed = Buffer.from(message);
      let at = Math.floor(part * (message.length - 100));
      while (armor && !/[A-Za-z]/.test(String.fromCharCode(changed[at] as number))) at += 1;
      if (armor) changed[at] = changed[at] === 65 ? 66 : 65;
      else changed[at] = (changed[at] as number) ^ 1;
      expect((await decrypted(changed)).code).toMatch(/^pgp-(?:tampered|damaged)$/);
    });

    it('is told apart when it is cut off', async () => {
      for (const length of [100, Math.floor(message.length / 2), message.length - 60]) {
        expect((await decrypted(message.subarray(0, length))).code).toBe('pgp-damaged');
      }
    });
  });

  it('is found by the integrity check, after all was delivered', async () => {
    const message = await collect(encryptPgp(inChunks(text), { recipients: [key.publicKey] }));
    message[message.length - 30] = (message[message.length - 30] as number) ^ 1;
    const result = await outcome(decryptPgp(inChunks(message), { privateKey: key.privateKey, maxOutputBytes }));
    expect(result).toMatchObject({ bytes: text.length, code: 'pgp-tampered' });
  });

  it('is refused when unsigned though a signature is required', async () => {
    const message = await collect(encryptPgp(inChunks(text), { recipients: [key.publicKey] }));
    const options = { privateKey: key.privateKey, maxOutputBytes, verifiers: [key.publicKey] };
    expect(await outcome(decryptPgp(inChunks(message), options))).toMatchObject({ code: 'pgp-not-signed' });
  });
});

describe('streams', () => {
  let key: { publicKey: string; privateKey: string };

  beforeAll(async () => {
    key = await newKey();
  });

  it('stop a message that unpacks to more than the limit', async () => {
    const bomb = await encrypt({
      message: await createMessage({ binary: new Uint8Array(20_000_000) }),
      encryptionKeys: await readKey({ armoredKey: key.publicKey }),
      format: 'binary',
      config: { preferredCompressionAlgorithm: enums.compression.zlib },
    });
    expect(bomb.length).toBeLessThan(100_000);
    const options = { privateKey: key.privateKey, maxOutputBytes: 1_000_000 };
    const result = await outcome(decryptPgp(inChunks(bomb), options));
    expect(result.code).toBe('pgp-too-large');
    expect(result.bytes).toBeLessThanOrEqual(1_000_000);
  });

  it("end with the source's error", async () => {
    const message = await collect(encryptPgp(inChunks(randomBytes(300_000)), { recipients: [key.publicKey] }));
    const failing = (): Readable => {
      let sent = 0;
      return new Readable({
        read() {
          if (sent > 100_000) this.destroy(new Error('connection reset'));
          else this.push(message.subarray(sent, sent + 10_000));
          sent += 10_000;
        },
      });
    };
    await expect(collect(decryptPgp(failing(), { privateKey: key.privateKey, maxOutputBytes }))).rejects.toThrow(
      'connection reset',
    );
    await expect(collect(encryptPgp(failing(), { recipients: [key.publicKey] }))).rejects.toThrow('connection reset');
  });

  it('destroy a silent source when they are given up', () => {
    const sources = [new Readable({ read() {} }), new Readable({ read() {} })] as const;
    const streams = [
      encryptPgp(sources[0], { recipients: [key.publicKey] }),
      decryptPgp(sources[1], { privateKey: key.privateKey, maxOutputBytes }),
    ];
    for (const stream of streams) {
      stream.resume();
      stream.destroy();
    }
    expect(sources.map((source) => source.destroyed)).toEqual([true, true]);
  });

  it('carry 96 MiB through both ways in memory that stays flat', async () => {
    const chunk = randomBytes(256 * 1024);
    const chunks = 4 * 96;
    const source = Readable.from(
      (function* () {
        for (let index = 0; index < chunks; index++) yield chunk;
      })(),
      { objectMode: false },
    );
    const encrypted = encryptPgp(source, { recipients: [key.publicKey], signWith: { privateKey: key.privateKey } });
    const options = { privateKey: key.privateKey, verifiers: [key.publicKey], maxOutputBytes };
    let bytes = 0;
    let before = 0;
    let peak = 0;
    for await (const part of decryptPgp(encrypted, options)) {
      bytes += (part as Buffer).length;
      const { heapUsed, arrayBuffers, external } = process.memoryUsage();
      const used = heapUsed + Math.max(arrayBuffers, external);
      if (bytes < 16 * 1024 * 1024) before = Math.max(before, used);
      peak = Math.max(peak, used);
    }
    expect(bytes).toBe(chunks * chunk.length);
    expect(peak - before).toBeLessThan(64 * 1024 * 1024);
  });

  it('are empty for an empty source', async () => {
    const message = await collect(encryptPgp(inChunks(Buffer.alloc(0)), { recipients: [key.publicKey] }));
    const empty = await collect(decryptPgp(inChunks(message), { privateKey: key.privateKey, maxOutputBytes }));
    expect(digest(empty)).toBe(digest(Buffer.alloc(0)));
  });

  it('refuse to encrypt for nobody', async () => {
    expect(await outcome(encryptPgp(inChunks(Buffer.from('x')), { recipients: [] }))).toMatchObject({
      code: 'pgp-no-recipient',
    });
  });
});

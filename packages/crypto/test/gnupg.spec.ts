import { checkPgpKeys, decryptPgp, encryptPgp, isPgp } from '../src/index.js';
import { Gnupg, gnupgMissing, type GnupgKey } from './gnupg.js';
import { collect, digest, inChunks, outcome } from './streams.js';

const maxOutputBytes = 100_000_000;
const text = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `${index},Jörg,"some, text"\n`).join(''));

if (gnupgMissing !== undefined) process.stderr.write(`Skipping the tests against GnuPG: ${gnupgMissing}\n`);

(gnupgMissing === undefined ? describe : describe.skip)('together with GnuPG', () => {
  let gnupg: Gnupg;
  let rsa: GnupgKey;
  let curve: GnupgKey;
  let nist: GnupgKey;
  let locked: GnupgKey;

  beforeAll(() => {
    gnupg = new Gnupg();
    rsa = gnupg.generate('rsa@example.org', 'rsa2048');
    curve = gnupg.generate('curve@example.org', 'future-default');
    nist = gnupg.generate('nist@example.org', 'nistp256');
    locked = gnupg.generate('locked@example.org', 'future-default', 'correct horse');
  });

  afterAll(() => gnupg.close());

  const encryptWithGnupg = (options: readonly string[], recipients: readonly GnupgKey[]): Buffer =>
    gnupg.run([...options, ...recipients.flatMap(({ email }) => ['--recipient', email]), '--encrypt'], text);

  describe.each(['rsa', 'curve', 'nist'] as const)('%s keys', (which) => {
    const key = (): GnupgKey => ({ rsa, curve, nist })[which];

    it.each([
      ['binary', []],
      ['armored', ['--armor']],
      ['not compressed', ['--compress-algo', 'none']],
      ['compressed with zlib', ['--compress-algo', 'zlib']],
      ['compressed with zip', ['--compress-algo', 'zip']],
      ['compressed with bzip2', ['--compress-algo', 'bzip2']],
      ['with the recipient hidden', ['--throw-keyids']],
      ['for AES-128', ['--cipher-algo', 'AES128']],
      ['for 3DES', ['--cipher-algo', '3DES']],
      ['in one piece', ['--set-filesize', String(text.length), '--compress-algo', 'none']],
      ['armored with a comment', ['--armor', '--comment', 'made by hand', '--emit-version']],
    ])('decrypt what GnuPG encrypted: %s', async (_name, options) => {
      const message = encryptWithGnupg(options, [key()]);
      expect(isPgp(message.subarray(0, 64))).toBe(true);
      expect(
        digest(await collect(decryptPgp(inChunks(message), { privateKey: key().privateKey, maxOutputBytes }))),
      ).toBe(digest(text));
    });

    it.each([
      ['binary', false],
      ['armored', true],
    ])('encrypt what GnuPG decrypts: %s', async (_name, armor) => {
      const message = await collect(encryptPgp(inChunks(text), { recipients: [key().publicKey], armor }));
      expect(isPgp(message.subarray(0, 64))).toBe(true);
      expect(message.subarray(0, 10).toString('latin1') === '-----BEGIN').toBe(armor);
      expect(digest(gnupg.run(['--decrypt'], message))).toBe(digest(text));
    });

    it('sign what GnuPG finds well signed', async () => {
      const message = await collect(
        encryptPgp(inChunks(text), { recipients: [rsa.publicKey], signWith: { privateKey: key().privateKey } }),
      );
      const status = gnupg.run(['--status-fd', '1', '--output', '/dev/null', '--decrypt'], message).toString();
      expect(status).toContain(`VALIDSIG`);
      expect(status).toContain(key().fingerprint);
    });

    it('verify what GnuPG signed', async () => {
      const message = encryptWithGnupg(['--sign', '--local-user', key().email], [rsa]);
      const options = { privateKey: rsa.privateKey, maxOutputBytes };
      expect(digest(await collect(decryptPgp(inChunks(message), { ...options, verifiers: [key().publicKey] })))).toBe(
        digest(text),
      );
      const other = which === 'rsa' ? curve : rsa;
      const unknown = await outcome(decryptPgp(inChunks(message), { ...options, verifiers: [other.publicKey] }));
      expect(unknown).toEqual({ bytes: text.length, code: 'pgp-signature-unknown', at: 'pgp.verifiers' });
      expect(
        await outcome(
          decryptPgp(inChunks(message), { ...options, verifiers: [other.publicKey], requireSignature: false }),
        ),
      ).toMatchObject({ code: undefined });
    });
  });

  it('whatever byte is changed, nothing ends well', async () => {
    const message = encryptWithGnupg(['--sign', '--local-user', rsa.email], [rsa]);
    const options = { privateKey: rsa.privateKey, verifiers: [rsa.publicKey], maxOutputBytes };
    expect((await outcome(decryptPgp(inChunks(message), options))).code).toBeUndefined();
    for (let part = 1; part <= 20; part += 1) {
      const changed = Buffer.from(message);
      const at = Math.floor((part * (message.length - 1)) / 20);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect([at, (await outcome(decryptPgp(inChunks(changed), options))).code]).toEqual([
        at,
        expect.stringMatching(/^pgp-/),
      ]);
    }
  });

  it.each([
    ['binary', [], 'pgp-damaged'],
    ['armored', ['--armor'], 'pgp-several-messages'],
  ])('a message behind another one is not passed over: %s', async (_name, form, code) => {
    const twice = Buffer.concat([encryptWithGnupg(form, [rsa]), encryptWithGnupg(form, [rsa])]);
    for (const size of [7, 10_000])
      expect(
        await outcome(decryptPgp(inChunks(twice, size), { privateKey: rsa.privateKey, maxOutputBytes })),
      ).toMatchObject({ code });
  });

  it('white space around an armored message, and its line ends, do not matter', async () => {
    const armored = encryptWithGnupg(['--armor'], [rsa]).toString('latin1');
    for (const changed of [
      `\r\n${armored}\r\n\n`,
      armored.replace(/\r?\n/g, '\r\n'),
      armored.trimEnd(),
      `${armored}\0\0`,
    ]) {
      const source = inChunks(Buffer.from(changed, 'latin1'), 1000);
      expect(digest(await collect(decryptPgp(source, { privateKey: rsa.privateKey, maxOutputBytes })))).toBe(
        digest(text),
      );
    }
  });

  it.each(['BLOWFISH', 'TWOFISH', 'CAMELLIA256', 'IDEA'])('%s is refused as what it is', async (cipher) => {
    const message = encryptWithGnupg(['--cipher-algo', cipher], [rsa]);
    expect(await outcome(decryptPgp(inChunks(message), { privateKey: rsa.privateKey, maxOutputBytes }))).toEqual({
      bytes: 0,
      code: 'pgp-cipher-unsupported',
    });
  });

  it('a key that has expired still opens what was encrypted for it, and proves what it signed before', async () => {
    const past = gnupg.generate('past@example.org', 'future-default', '', '2024-02-01', '20240101');
    const before = [...gnupg.at('20240110'), '--sign', '--local-user', past.email];
    const message = encryptWithGnupg(before, [past]);
    const options = { privateKey: past.privateKey, maxOutputBytes, verifiers: [past.publicKey] };
    expect(await outcome(decryptPgp(inChunks(message), options))).toEqual({ bytes: text.length, code: undefined });
  });

  it('several recipients can each read a message, in both directions', async () => {
    const ours = await collect(encryptPgp(inChunks(text), { recipients: [rsa.publicKey, curve.publicKey] }));
    const theirs = encryptWithGnupg([], [rsa, curve]);
    for (const { privateKey } of [rsa, curve]) {
      for (const message of [ours, theirs]) {
        expect(digest(await collect(decryptPgp(inChunks(message), { privateKey, maxOutputBytes })))).toBe(digest(text));
      }
    }
    expect(digest(gnupg.run(['--decrypt'], ours))).toBe(digest(text));
  });

  it('one armored block may hold several recipients', async () => {
    const both = gnupg.run(['--armor', '--export', rsa.email, curve.email]).toString();
    const message = await collect(encryptPgp(inChunks(text), { recipients: [both] }));
    for (const { privateKey } of [rsa, curve]) {
      expect(digest(await collect(decryptPgp(inChunks(message), { privateKey, maxOutputBytes })))).toBe(digest(text));
    }
  });

  it('binary keys are taken as base64', async () => {
    const publicKey = gnupg.run(['--export', rsa.email]).toString('base64');
    const privateKey = gnupg.run(['--export-secret-keys', rsa.email]).toString('base64');
    const message = await collect(encryptPgp(inChunks(text), { recipients: [publicKey] }));
    expect(digest(await collect(decryptPgp(inChunks(message), { privateKey, maxOutputBytes })))).toBe(digest(text));
  });

  it('a private key without its primary secret still decrypts', async () => {
    const privateKey = gnupg.run(['--armor', '--export-secret-subkeys', curve.email]).toString();
    const message = encryptWithGnupg([], [curve]);
    expect(digest(await collect(decryptPgp(inChunks(message), { privateKey, maxOutputBytes })))).toBe(digest(text));
  });

  it('a protected private key asks for its passphrase', async () => {
    const message = encryptWithGnupg([], [locked]);
    const options = { privateKey: locked.privateKey, maxOutputBytes };
    const open = async (passphrase?: string): Promise<unknown> =>
      outcome(decryptPgp(inChunks(message), { ...options, passphrase }));
    expect(await open('correct horse')).toEqual({ bytes: text.length, code: undefined });
    expect(await open('wrong')).toEqual({ bytes: 0, code: 'pgp-wrong-passphrase', at: 'pgp.passphrase' });
    expect(await open()).toEqual({ bytes: 0, code: 'pgp-passphrase-missing', at: 'pgp.passphrase' });
  });

  it('what a message is that cannot be decrypted is told apart', async () => {
    const open = async (message: Buffer): Promise<string | undefined> =>
      (await outcome(decryptPgp(inChunks(message), { privateKey: rsa.privateKey, maxOutputBytes }))).code;
    expect(await open(encryptWithGnupg([], [curve]))).toBe('pgp-wrong-key');
    expect(await open(gnupg.run(['--pinentry-mode', 'loopback', '--passphrase', 'x', '--symmetric'], text))).toBe(
      'pgp-password-only',
    );
    expect(await open(gnupg.run(['--sign', '--local-user', rsa.email], text))).toBe('pgp-not-encrypted');
    expect(await open(gnupg.run(['--clear-sign', '--local-user', rsa.email], 'text'))).toBe('pgp-not-encrypted');
    expect(await open(Buffer.from(rsa.publicKey))).toBe('pgp-not-encrypted');
    expect(await open(Buffer.from('id,name\n'))).toBe('pgp-not-pgp');
    expect(await open(encryptWithGnupg(['--rfc2440', '--disable-mdc', '--cipher-algo', '3DES'], [rsa]))).toBe(
      'pgp-not-protected',
    );
  });

  it('keys that cannot do their work are refused by name', async () => {
    const check = async (keys: Partial<Parameters<typeof checkPgpKeys>[0]>): Promise<unknown> => {
      try {
        return (await checkPgpKeys({ recipients: [], verifiers: [], ...keys })).map(({ field }) => field);
      } catch (error) {
        const { code, at } = error as { code: string; at: string };
        return `${at} ${code}`;
      }
    };
    const unlocked = ['--pinentry-mode', 'loopback', '--passphrase', ''];
    gnupg.run([...unlocked, '--quick-generate-key', 'Signer <signer@example.org>', 'ed25519', 'sign', 'never']);
    const signer = gnupg.run(['--armor', '--export', 'signer@example.org']).toString();
    const revoked = gnupg.generate('revoked@example.org', 'future-default');
    const expired = expiredKey(gnupg);

    expect(await check({ recipients: [rsa.publicKey, curve.publicKey], verifiers: [signer] })).toEqual([
      'pgp.recipients[0]',
      'pgp.recipients[1]',
      'pgp.verifiers[0]',
    ]);
    expect(await check({ privateKey: locked.privateKey, passphrase: 'correct horse' })).toEqual(['pgp.privateKey']);
    expect(await check({ privateKey: locked.privateKey, passphrase: 'x' })).toBe('pgp.passphrase pgp-wrong-passphrase');
    expect(await check({ privateKey: rsa.publicKey })).toBe('pgp.privateKey pgp-public-key-given');
    expect(await check({ recipients: [rsa.publicKey, rsa.privateKey] })).toBe(
      'pgp.recipients[1] pgp-private-key-given',
    );
    expect(await check({ recipients: ['hello'] })).toBe('pgp.recipients[0] pgp-key-unreadable');
    expect(await check({ recipients: [rsa.publicKey, signer] })).toBe('pgp.recipients[1] pgp-no-encryption-key');
    expect(await check({ recipients: [expired] })).toBe('pgp.recipients[0] pgp-key-expired');
    expect(await check({ recipients: [revokedKey(gnupg, revoked)] })).toBe('pgp.recipients[0] pgp-key-revoked');
  });

  it('keys are described for people', async () => {
    const [key] = await checkPgpKeys({ recipients: [rsa.publicKey], verifiers: [] });
    expect(key).toMatchObject({
      fingerprint: rsa.fingerprint,
      userIds: ['Test <rsa@example.org>'],
      algorithm: 'rsaEncryptSign 2048',
      expiresAt: undefined,
      uses: ['encrypt', 'verify'],
    });
    const secret = ['--pinentry-mode', 'loopback', '--passphrase', '', '--armor'];
    const privateKey = gnupg.run([...secret, '--export-secret-keys', 'signer@example.org']).toString();
    expect((await checkPgpKeys({ privateKey, recipients: [], verifiers: [] }))[0]?.uses).toEqual(['sign']);
    expect((await checkPgpKeys({ privateKey: curve.privateKey, recipients: [], verifiers: [] }))[0]?.uses).toEqual([
      'decrypt',
      'sign',
    ]);
  });
});

/** A key that was made for one day, some days ago. */
function expiredKey(gnupg: Gnupg): string {
  const past = ['--faked-system-time', '20240101T000000!', '--pinentry-mode', 'loopback', '--passphrase', ''];
  gnupg.run([...past, '--quick-generate-key', 'Old <old@example.org>', 'future-default', 'default', '1d']);
  return gnupg.run(['--armor', '--export', 'old@example.org']).toString();
}

function revokedKey(gnupg: Gnupg, key: GnupgKey): string {
  const certificate = gnupg.revocationOf(key.fingerprint);
  gnupg.run(['--import'], certificate);
  return gnupg.run(['--armor', '--export', key.email]).toString();
}

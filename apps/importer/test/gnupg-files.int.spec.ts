import { gzipSync } from 'node:zlib';
import type { PgpKeys } from '@millrace/domain';
import { Gnupg, hasGnupg, on, signedBy, type SenderKey } from './gnupg.js';
import { ImportHarness, outcomes, type FinishedRun } from './import-harness.js';

if (!hasGnupg) process.stderr.write('Skipping the tests with GnuPG: it is not installed on this machine\n');

(hasGnupg ? describe : describe.skip)('a file encrypted with GnuPG', () => {
  let harness: ImportHarness;
  let gnupg: Gnupg;
  let rsa: SenderKey;
  let curve: SenderKey;
  let nist: SenderKey;
  let sender: SenderKey;

  beforeAll(async () => {
    harness = await ImportHarness.create('gnupg-files', [{ name: 'name' }]);
    harness.startWorker({ settings: { maxPlainBytes: 20_000_000 } });
    gnupg = new Gnupg();
    rsa = gnupg.key('rsa', 'rsa2048');
    curve = gnupg.key('curve', 'future-default');
    nist = gnupg.key('nist', 'nistp256');
    sender = gnupg.key('sender', 'future-default');
  });
  afterAll(async () => {
    gnupg?.close();
    await harness.close();
  });

  const rows = 5000;
  const csvOf = (prefix: string): string =>
    `id,name\n${Array.from({ length: rows }, (_, row) => `${prefix}-${row},"Jörg, ${row}"\n`).join('')}`;

  let directories = 0;
  async function importing(content: Uint8Array, pgp: PgpKeys, name = 'people.csv.gpg'): Promise<FinishedRun> {
    directories += 1;
    await harness.client.put(harness.bucket, `d${directories}/${name}`, content);
    const source = { bucket: harness.bucket, directory: `d${directories}`, pattern: { kind: 'every' } };
    const run = await harness.run(harness.goal({ source, mappings: [{ column: 'name', property: 'name' }] }), { pgp });
    expect(outcomes(run.counts)).toBe(run.counts.rowsRead);
    return run;
  }

  const receiver = (key: SenderKey, changes: Partial<PgpKeys> = {}): PgpKeys => ({
    privateKey: key.privateKey,
    recipients: [],
    verifiers: [],
    ...changes,
  });

  const whole = { outcome: 'succeeded', counts: { rowsRead: rows, created: rows } };
  async function expectNothing(run: FinishedRun, code: string | RegExp, prefix: string): Promise<void> {
    expect(run).toMatchObject({ outcome: 'failed', error: { code: expect.stringMatching(code) } });
    expect(Object.keys(await harness.profiles()).filter((id) => id.startsWith(`${prefix}-`))).toEqual([]);
    expect(await harness.tables()).toEqual([]);
  }

  it.each([
    ['for RSA, binary', () => rsa, []],
    ['for RSA, armored', () => rsa, ['--armor']],
    ['for Curve25519, compressed with zlib', () => curve, ['--compress-algo', 'zlib']],
    ['for Curve25519, compressed with bzip2', () => curve, ['--compress-algo', 'bzip2']],
    ['for NIST P-256, compressed with zip', () => nist, ['--compress-algo', 'zip']],
    ['for NIST P-256, not compressed', () => nist, ['--compress-algo', 'none']],
    ['with the recipient hidden', () => nist, ['--throw-keyids']],
  ] as const)('is imported: %s', async (name, key, options) => {
    const prefix = name.replace(/\W+/g, '');
    const run = await importing(gnupg.encrypt(csvOf(prefix), [key()], options), receiver(key()));
    expect(run).toMatchObject(whole);
  });

  it('is imported by each of several recipients', async () => {
    const content = gnupg.encrypt(csvOf('several'), [rsa, curve, nist]);
    expect(await importing(content, receiver(nist))).toMatchObject(whole);
    expect(await importing(content, receiver(curve))).toMatchObject({ counts: { rowsRead: rows, unchanged: rows } });
  });

  it('is imported when it was gzipped first', async () => {
    const content = gnupg.encrypt(gzipSync(csvOf('gzipped')), [curve]);
    expect(await importing(content, receiver(curve), 'people.csv.gz.pgp')).toMatchObject(whole);
  });

  it('is imported with a key under a passphrase, and not with a wrong one', async () => {
    const locked = gnupg.key('locked', 'nistp256', { passphrase: 'correct horse' });
    const content = gnupg.encrypt(csvOf('locked'), [locked]);
    await expectNothing(await importing(content, receiver(locked)), 'pgp-passphrase-missing', 'locked');
    const wrong = await importing(content, receiver(locked, { passphrase: 'a wrong guess' }));
    await expectNothing(wrong, 'pgp-wrong-passphrase', 'locked');
    expect(JSON.stringify(wrong)).not.toContain('a wrong guess');
    expect(await importing(content, receiver(locked, { passphrase: 'correct horse' }))).toMatchObject(whole);
  });

  it('is imported with a key that has expired since', async () => {
    const old = gnupg.key('old', 'rsa2048', { day: '20240101', expires: '2024-02-01' });
    const content = gnupg.encrypt(csvOf('expired'), [old], on('20240110'));
    expect(await importing(content, receiver(old))).toMatchObject(whole);
  });

  it('is imported only with the signature of a known sender, where there are some', async () => {
    const pgp = receiver(rsa, { verifiers: [sender.publicKey, nist.publicKey] });
    expect(await importing(gnupg.encrypt(csvOf('signed'), [rsa], signedBy(sender)), pgp)).toMatchObject(whole);
    expect(await importing(gnupg.encrypt(csvOf('signed2'), [rsa], signedBy(nist)), pgp)).toMatchObject(whole);
    const unsigned = await importing(gnupg.encrypt(csvOf('unsigned'), [rsa]), pgp);
    await expectNothing(unsigned, 'pgp-not-signed', 'unsigned');
    const foreign = await importing(gnupg.encrypt(csvOf('foreign'), [rsa], signedBy(curve)), pgp);
    await expectNothing(foreign, 'pgp-signature-unknown', 'foreign');
  });

  it('is refused, and nothing of it applied, for another key, tampered with, cut, or followed by another', async () => {
    await expectNothing(
      await importing(gnupg.encrypt(csvOf('wrong'), [curve]), receiver(rsa)),
      'pgp-wrong-key',
      'wrong',
    );
    const message = gnupg.encrypt(csvOf('harmed'), [rsa], ['--compress-algo', 'none']);
    for (const at of [0.3, 0.6, 0.999]) {
      const changed = Buffer.from(message);
      const byte = Math.floor(at * changed.length);
      changed[byte] = (changed[byte] ?? 0) ^ 1;
      await expectNothing(await importing(changed, receiver(rsa)), /^pgp-(tampered|damaged)$/, 'harmed');
    }
    const cut = message.subarray(0, message.length - 30);
    await expectNothing(await importing(cut, receiver(rsa)), 'pgp-damaged', 'harmed');
    const twice = Buffer.concat([message, gnupg.encrypt(csvOf('harmed'), [rsa])]);
    await expectNothing(await importing(twice, receiver(rsa)), 'pgp-damaged', 'harmed');
    const armored = gnupg.encrypt(csvOf('harmed'), [rsa], ['--armor']);
    const armoredTwice = Buffer.concat([armored, armored]);
    await expectNothing(await importing(armoredTwice, receiver(rsa)), 'pgp-several-messages', 'harmed');
  });

  it('is refused when it unfolds to more than may be', async () => {
    const bomb = `id,name\n${'x,'.repeat(15_000_000)}\n`;
    for (const algorithm of ['zip', 'zlib', 'bzip2']) {
      const content = gnupg.encrypt(bomb, [curve], ['--compress-algo', algorithm]);
      expect(content.length).toBeLessThan(200_000);
      await expectNothing(await importing(content, receiver(curve)), 'pgp-too-large', 'x');
    }
    const inside = gnupg.encrypt(gzipSync(bomb), [curve]);
    await expectNothing(await importing(inside, receiver(curve)), 'gzip-too-large', 'x');
  });
});

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { ExportFixture } from './export-fixture.js';

const run = promisify(execFile);

describe('an encrypted export', () => {
  let fixture: ExportFixture;
  let home: string;
  const gpg = async (...options: string[]) =>
    await run(
      'gpg',
      ['--homedir', home, '--batch', '--yes', '--pinentry-mode', 'loopback', '--passphrase', '', ...options],
      { encoding: 'buffer', maxBuffer: 1e9 },
    );

  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'gpg-'));
    await gpg('--quick-generate-key', 'receiver@x.test', 'default', 'default', 'never');
    await gpg('--quick-generate-key', 'sender@x.test', 'rsa2048', 'default', 'never');
    fixture = await ExportFixture.create('pgp');
    await fixture.addProfiles(
      Array.from({ length: 2000 }, (_, index) => ({ email: `user${index}@x.test`, points: index })),
    );
    fixture.startWorker();
  });

  afterAll(async () => {
    await run('gpgconf', ['--homedir', home, '--kill', 'all']);
    await rm(home, { recursive: true, force: true });
    await fixture.close();
  });

  const armored = async (command: '--export' | '--export-secret-keys', user: string): Promise<string> =>
    (await gpg('--armor', command, user)).stdout.toString();

  it('opens with GnuPG, which also finds the signature good', async () => {
    const pgp = {
      recipients: [await armored('--export', 'receiver@x.test')],
      verifiers: [],
      privateKey: await armored('--export-secret-keys', 'sender@x.test'),
    };
    const goal = fixture.goal({ compression: 'gzip', pgp: { encrypt: true, sign: true } });
    const { outcome, counts, error } = await fixture.run(randomUUID(), goal, { pgp });
    expect(error).toBeUndefined();
    expect(outcome).toBe('succeeded');
    const [file] = counts.files;
    expect(file?.name).toMatch(/\.csv\.gz\.pgp$/);
    const encrypted = path.join(home, 'export.pgp');
    await writeFile(encrypted, await fixture.read(file?.name ?? ''));
    const { stdout, stderr } = await gpg('--decrypt', encrypted);
    expect(stderr.toString()).toMatch(/Good signature from "sender@x.test"/);
    expect(gunzipSync(stdout).toString().split('\n')).toHaveLength(2002);
  });

  it('fails before it writes anything where a key will not do', async () => {
    const goal = fixture.goal({ pgp: { encrypt: true } });
    const before = await fixture.objects();
    const nonsense = await fixture.run(randomUUID(), goal, { pgp: { recipients: ['no key'], verifiers: [] } });
    expect(nonsense).toMatchObject({
      outcome: 'failed',
      error: { code: 'pgp-key-unreadable', at: 'pgp.recipients[0]' },
    });
    const alone = await fixture.run(randomUUID(), fixture.goal({ pgp: { sign: true } }));
    expect(alone).toMatchObject({ outcome: 'failed', error: { code: 'pgp-sign-alone' } });
    expect(await fixture.objects()).toEqual(before);
  });
});

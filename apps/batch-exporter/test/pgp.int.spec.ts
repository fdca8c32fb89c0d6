import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import type { GoalEndpoint } from '@millrace/domain';
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
    await gpg('--quick-generate-key', 'second@x.test', 'rsa2048', 'default', 'never');
    await gpg('--quick-add-key', await fingerprint('second@x.test'), 'rsa2048', 'encr', 'never');
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

  const fingerprint = async (user: string): Promise<string> =>
    /^fpr:+([0-9A-F]{40})/m.exec((await gpg('--with-colons', '--list-keys', user)).stdout.toString())?.[1] ?? '';

  const armored = async (command: '--export' | '--export-secret-keys', user: string): Promise<string> =>
    (await gpg('--armor', command, user)).stdout.toString();

  const keys = async (): Promise<NonNullable<GoalEndpoint['pgp']>> => ({
    recipients: [await armored('--export', 'receiver@x.test'), await armored('--export', 'second@x.test')],
    verifiers: [],
    privateKey: await armored('--export-secret-keys', 'sender@x.test'),
  });

  /** The one file of an export with these options, in a file of its own. */
  const exported = async (pgp: object): Promise<string> => {
    const { counts, error } = await fixture.run(
      randomUUID(),
      fixture.goal({ compression: 'gzip', pgp, fileName: `${Object.keys(pgp).join('-')}_%DATETIME%` }),
      { pgp: await keys() },
    );
    expect(error).toBeUndefined();
    const [file] = counts.files;
    expect(file?.name).toMatch(/\.csv\.gz\.pgp$/);
    const target = path.join(home, 'export.pgp');
    await writeFile(target, await fixture.read(file?.name ?? ''));
    return target;
  };

  it.each([
    ['encrypted', { encrypt: true }, /^(?![^]*signature)/],
    ['encrypted and signed', { encrypt: true, sign: true }, /Good signature from "sender@x.test"/],
    ['signed alone', { sign: true }, /Good signature from "sender@x.test"/],
  ])('%s opens with GnuPG, which also finds the signature good', async (_name, pgp, signature) => {
    const { stdout, stderr } = await gpg('--decrypt', await exported(pgp));
    expect(stderr.toString()).toMatch(signature);
    expect(gunzipSync(stdout).toString().split('\n')).toHaveLength(2002);
  });

  it('can be read by each recipient alone', async () => {
    const file = await exported({ encrypt: true });
    for (const user of ['receiver@x.test', 'second@x.test']) {
      const other = await mkdtemp(path.join(tmpdir(), 'gpg-'));
      const alone = ['--homedir', other, '--batch', '--pinentry-mode', 'loopback', '--passphrase', ''];
      await writeFile(path.join(other, 'key'), await armored('--export-secret-keys', user));
      await run('gpg', [...alone, '--import', path.join(other, 'key')]);
      const { stdout } = await run('gpg', [...alone, '--decrypt', file], { encoding: 'buffer', maxBuffer: 1e9 });
      expect(gunzipSync(stdout).toString().split('\n')).toHaveLength(2002);
      await run('gpgconf', ['--homedir', other, '--kill', 'all']);
      await rm(other, { recursive: true, force: true });
    }
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
    expect(alone).toMatchObject({ outcome: 'failed', error: { code: 'pgp-key-missing' } });
    expect(await fixture.objects()).toEqual(before);
  });
});

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why tests with GnuPG are left out, or undefined where it is there. */
export const gnupgMissing: string | undefined =
  spawnSync('gpg', ['--version']).status === 0 ? undefined : 'GnuPG (gpg) is not installed on this machine';

export interface GnupgKey {
  readonly email: string;
  readonly publicKey: string;
  readonly privateKey: string;
  readonly fingerprint: string;
}

/** GnuPG with a home of its own that nobody else sees, and no questions asked. */
export class Gnupg {
  readonly home = mkdtempSync(join(tmpdir(), 'millrace-gpg-'));

  run(args: readonly string[], input: Uint8Array | string = ''): Buffer {
    const all = ['--homedir', this.home, '--batch', '--yes', '--no-tty', '--quiet', '--trust-model', 'always', ...args];
    return execFileSync('gpg', all, { input, maxBuffer: 1024 * 1024 * 1024, stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /**
   * `algorithm`: `rsa2048`, `nistp256`, `future-default` (Ed25519 and Curve25519), ...; with an encryption subkey.
   * @param on the day it is made, `20240101`; today by default
   */
  generate(email: string, algorithm: string, passphrase = '', expires = 'never', on?: string): GnupgKey {
    const secret = [...this.at(on), '--pinentry-mode', 'loopback', '--passphrase', passphrase];
    this.run([...secret, '--quick-generate-key', `Test <${email}>`, algorithm, 'default', expires]);
    const listing = this.run(['--with-colons', '--list-keys', email]).toString();
    const fingerprint = /^fpr:+([0-9A-F]+):/m.exec(listing)?.[1] ?? '';
    if (algorithm !== 'future-default')
      this.run([...secret, '--quick-add-key', fingerprint, algorithm, 'encrypt', expires]);
    return {
      email,
      fingerprint,
      publicKey: this.run(['--armor', '--export', email]).toString(),
      privateKey: this.run([...secret, '--armor', '--export-secret-keys', email]).toString(),
    };
  }

  /** What makes GnuPG believe that it is another day. */
  at(day: string | undefined): readonly string[] {
    return day === undefined ? [] : ['--faked-system-time', `${day}T120000!`];
  }

  /** The revocation certificate GnuPG makes with each key, usable. */
  revocationOf(fingerprint: string): string {
    const file = join(this.home, 'openpgp-revocs.d', `${fingerprint}.rev`);
    return readFileSync(file, 'utf8').replace(':-----BEGIN', '-----BEGIN');
  }

  close(): void {
    spawnSync('gpgconf', ['--homedir', this.home, '--kill', 'all']);
    rmSync(this.home, { recursive: true, force: true });
  }
}

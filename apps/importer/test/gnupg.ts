import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether Debian's GnuPG is on this machine. */
export const hasGnupg = spawnSync('gpg', ['--version']).status === 0;

export interface SenderKey {
  readonly fingerprint: string;
  readonly publicKey: string;
  readonly privateKey: string;
}

/** GnuPG as a sender of files has it, with a home of its own. */
export class Gnupg {
  readonly #home = mkdtempSync(join(tmpdir(), 'millrace-gpg-'));

  run(args: readonly string[], input: Uint8Array | string = ''): Buffer {
    const all = [
      '--homedir',
      this.#home,
      '--batch',
      '--yes',
      '--no-tty',
      '--quiet',
      '--trust-model',
      'always',
      ...args,
    ];
    return execFileSync('gpg', all, { input, maxBuffer: 1024 ** 3, stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** A key that signs, with a subkey that encrypts; `day`, `20240101`, when it is made, and `expires` for how long it holds. */
  key(
    name: string,
    algorithm: string,
    options: { passphrase?: string; day?: string; expires?: string } = {},
  ): SenderKey {
    const { passphrase = '', day, expires = 'never' } = options;
    const secret = [...on(day), '--pinentry-mode', 'loopback', '--passphrase', passphrase];
    this.run([...secret, '--quick-generate-key', `${name} <${name}@example.org>`, algorithm, 'default', expires]);
    const listed = this.run(['--with-colons', '--list-keys', `${name}@example.org`]).toString();
    const fingerprint = /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? '';
    if (algorithm !== 'future-default')
      this.run([...secret, '--quick-add-key', fingerprint, algorithm, 'encrypt', expires]);
    return {
      fingerprint,
      publicKey: this.run(['--armor', '--export', fingerprint]).toString(),
      privateKey: this.run([...secret, '--armor', '--export-secret-keys', fingerprint]).toString(),
    };
  }

  encrypt(content: Uint8Array | string, recipients: readonly SenderKey[], options: readonly string[] = []): Buffer {
    const to = recipients.flatMap(({ fingerprint }) => ['--recipient', fingerprint]);
    return this.run([...options, ...to, '--encrypt'], content);
  }

  close(): void {
    spawnSync('gpgconf', ['--homedir', this.#home, '--kill', 'all']);
    rmSync(this.#home, { recursive: true, force: true });
  }
}

/** Makes GnuPG believe that it is another day. */
export function on(day: string | undefined): readonly string[] {
  return day === undefined ? [] : ['--faked-system-time', `${day}T120000!`];
}

export const signedBy = ({ fingerprint }: SenderKey): readonly string[] => ['--sign', '--local-user', fingerprint];

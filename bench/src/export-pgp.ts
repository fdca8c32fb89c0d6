import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { alternate, type Bench } from './bench.js';
import { benchDirectory } from './bench-stack.js';
import { runWholeExport, timeCopyOut, withExportSetting } from './export-setting.js';

const receiver = 'receiver@example.org';

/** A full export, gzipped and encrypted for one recipient, against psql piped into gzip and GnuPG. */
export const exportPgp: Bench = {
  about: 'a full export, gzipped and encrypted, against psql \\copy | gzip -1 | gpg --encrypt -z 0',
  async run(options) {
    const { rows, parts } = options;
    const home = path.join(benchDirectory, 'gnupg');
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const gpg = async (...more: string[]): Promise<string> => {
      const common = ['--homedir', home, '--batch', '--pinentry-mode', 'loopback', '--passphrase', ''];
      return (await promisify(execFile)('gpg', [...common, ...more])).stdout;
    };
    try {
      await gpg('--quick-generate-key', receiver, 'future-default', 'default', 'never');
      const pgp = { recipients: [await gpg('--armor', '--export', receiver)], verifiers: [] };
      const through = `gzip -1 | gpg --homedir "$GNUPG" --batch --trust-model always --recipient ${receiver} --encrypt -z 0`;
      return await withExportSetting(options, async (setting) => ({
        ...(await alternate(
          'export-pgp',
          options,
          () => runWholeExport(setting, rows, { goal: { parts, pgp: { encrypt: true, sign: false } }, pgp }),
          () => timeCopyOut(setting, 'export-full-floor.sql', through, { GNUPG: home }),
        )),
        parts,
      }));
    } finally {
      await promisify(execFile)('gpgconf', ['--homedir', home, '--kill', 'all']).catch(() => undefined);
      rmSync(home, { recursive: true, force: true });
    }
  },
};

import { createReadStream, createWriteStream, existsSync, readFileSync, renameSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { encryptPgp } from '@millrace/crypto';
import { alternate, type Bench } from './bench.js';
import { emptyStore } from './bench-stack.js';
import { runWholeImport, upload, withImportSetting, type ImportOptions } from './import-setting.js';
import { peopleFile } from './people-file.js';

// The importer's tests have the keys; they are used nowhere else.
const key = (name: string): string =>
  readFileSync(new URL(`../../apps/importer/test/fixtures/${name}.asc`, import.meta.url), 'utf8');

/** The people file gzipped, then encrypted; written once and kept. */
async function encryptedFile(file: string): Promise<string> {
  const target = `${file}.gz.pgp`;
  if (existsSync(target)) return target;
  const zipped = createReadStream(file).pipe(createGzip({ level: 6 }));
  const encrypted = encryptPgp(Readable.from(zipped, { objectMode: false }), { recipients: [key('receiver.public')] });
  await pipeline(encrypted, createWriteStream(`${target}.part`));
  renameSync(`${target}.part`, target);
  return target;
}

/** What decrypting and unpacking add to an import. */
export const importPgp: Bench = {
  about: 'new profiles from a PGP-encrypted, gzipped file, against the plain file',
  async run(options) {
    const file = await peopleFile(options.rows);
    const encrypted = await encryptedFile(file);
    return withImportSetting(options, async (setting) => {
      await upload(setting, 'people.csv', file);
      await upload(setting, 'people.csv.gz.pgp', encrypted);
      const importOf = (source: ImportOptions) => async () => {
        await emptyStore(setting.bench.database);
        return runWholeImport(setting, source, 'created', options.rows);
      };
      const pgp = { privateKey: key('receiver.private'), passphrase: 'correct horse', recipients: [], verifiers: [] };
      return alternate(
        'import-pgp',
        options,
        importOf({ name: 'people.csv.gz.pgp', pgp }),
        importOf({ name: 'people.csv' }),
      );
    });
  },
};

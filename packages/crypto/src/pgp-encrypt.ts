import { Readable } from 'node:stream';
import { createMessage, encrypt, enums } from 'openpgp';
import { readPublicKeys, unlockPrivateKeys, type UnlockOptions } from './pgp-keys.js';

export interface EncryptOptions {
  /** Public keys of everyone who may open the message; at least one. */
  readonly recipients: readonly string[];
  readonly signWith?: UnlockOptions | undefined;
}

/**
 * A binary OpenPGP message of the source, as a stream in bounded memory. What goes in should be compressed already: PGP's own
 * compression stays off. SEIPDv1, which GnuPG 2.2 opens too. InputError where a key does not serve.
 */
export function encryptPgp(source: Readable, options: EncryptOptions): Readable {
  const encrypted = Readable.from(ciphertext(source, options), { objectMode: false, highWaterMark: 512 * 1024 });
  encrypted.once('close', () => source.destroy());
  return encrypted;
}

async function* ciphertext(source: Readable, { recipients, signWith }: EncryptOptions): AsyncGenerator<Uint8Array, void, undefined> {
  let sourceError: Error | undefined;
  source.once('error', (error) => (sourceError = error));
  try {
    const encryptionKeys = [...(await readPublicKeys(recipients, 'pgp.recipients'))];
    const signingKeys = signWith === undefined ? [] : [...(await unlockPrivateKeys(signWith))];
    const message = await createMessage({ binary: Readable.toWeb(source) as unknown as ReadableStream<Uint8Array> });
    const data = await encrypt({
      message,
      encryptionKeys,
      signingKeys,
      format: 'binary',
      config: { preferredCompressionAlgorithm: enums.compression.uncompressed, aeadProtect: false },
    });
    yield* data as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw sourceError ?? error;
  }
}

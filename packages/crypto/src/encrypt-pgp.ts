import type { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { createMessage, encrypt, enums } from 'openpgp';
import { byteStream, gathered, withHead } from '@millrace/byte-stream';
import { InputError } from '@millrace/domain';
import { endingAtFailure } from './ending-at-failure.js';
import { messageChunkBytes } from './message-chunks.js';
import { readRecipients, readSigners } from './pgp-keys.js';

export interface EncryptPgpOptions {
  /** Public keys, any of which opens the message: ASCII armor, or base64 of a binary key. */
  readonly recipients: readonly string[];
  readonly signWith?: { readonly privateKey: string; readonly passphrase?: string | undefined } | undefined;
  /** ASCII armor instead of binary: a third larger. */
  readonly armor?: boolean | undefined;
}

/**
 * Encrypts for several recipients, and signs on demand, in constant memory. Nothing is compressed: gzip first. The form
 * (AES-256 with modification detection) is one GnuPG 2.2 can read.
 *
 * It ends with the source's error, or an InputError of `checkPgpKeys`. Destroying it destroys the source.
 */
export function encryptPgp(source: Readable, options: EncryptPgpOptions): Readable {
  return byteStream(encrypted(source, options), source);
}

async function* encrypted(source: Readable, options: EncryptPgpOptions): AsyncGenerator<Uint8Array> {
  if (options.recipients.length === 0) {
    throw new InputError('pgp-no-recipient', 'there is no public key to encrypt for', { at: 'pgp.recipients' });
  }
  const encryptionKeys = await readRecipients(options.recipients);
  const { signWith } = options;
  const signingKeys =
    signWith === undefined ? [] : await readSigners(signWith.privateKey, signWith.passphrase, 'pgp.privateKey');
  const { chunks } = await withHead(source, 0);
  const input = endingAtFailure(gathered(chunks, messageChunkBytes));
  const message = await createMessage({ binary: ReadableStream.from(input.chunks) as never });
  const common = {
    message,
    encryptionKeys,
    signingKeys,
    config: {
      preferredCompressionAlgorithm: enums.compression.uncompressed,
      preferredSymmetricAlgorithm: enums.symmetric.aes256,
      aeadProtect: false,
    },
  };
  const output =
    options.armor === true
      ? await encrypt({ ...common, format: 'armored' })
      : await encrypt({ ...common, format: 'binary' });
  for await (const chunk of output as unknown as AsyncIterable<string | Uint8Array>) {
    input.throwFailure();
    yield typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk;
  }
  input.throwFailure();
}

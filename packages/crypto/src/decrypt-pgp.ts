import type { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { decrypt, enums, readMessage, type Message, type PrivateKey, type PublicKey } from 'openpgp';
import { byteStream, withHead } from '@millrace/byte-stream';
import { InputError, TransientError } from '@millrace/domain';
import { ArmoredMessage } from './armored-message.js';
import { pgpForm, pgpHeadBytes } from './pgp-detect.js';
import { openPrivateKeys, readVerifiers } from './pgp-keys.js';

export interface DecryptPgpOptions {
  /** ASCII armor, or base64 of a binary key. */
  readonly privateKey: string;
  readonly passphrase?: string | undefined;
  /** Public keys one of which must have signed. */
  readonly verifiers?: readonly string[] | undefined;
  /** Whether an unsigned message is refused, or one signed by others; by default where there are verifiers. */
  readonly requireSignature?: boolean | undefined;
  /** Decrypted (and decompressed) bytes after which the message is refused. */
  readonly maxOutputBytes: number;
}

/**
 * Decrypts an OpenPGP message, armored or binary, compressed or not, in constant memory.
 *
 * **What it delivers is unproven until it has ended.** Integrity and signature stand at the end of a message, so a changed
 * one is delivered in full before the error. Keep nothing that came out unless the stream ended without error.
 *
 * It ends with the source's error or an InputError: `pgp-not-pgp`, `pgp-not-encrypted`, `pgp-password-only`,
 * `pgp-wrong-key`, `pgp-tampered` (the integrity check failed), `pgp-damaged` (cut off or not well formed),
 * `pgp-cipher-unsupported`, `pgp-several-messages` (something stands behind the end of an armored message),
 * `pgp-not-protected` (encrypted without integrity check), `pgp-too-large`, `pgp-not-signed`, `pgp-signature-unknown`,
 * `pgp-signature-invalid`; or one of `checkPgpKeys`. Destroying it destroys the source.
 */
export function decryptPgp(source: Readable, options: DecryptPgpOptions): Readable {
  return byteStream(decrypted(source, options), source);
}

async function* decrypted(source: Readable, options: DecryptPgpOptions): AsyncGenerator<Uint8Array> {
  try {
    const privateKeys = await openPrivateKeys(options.privateKey, options.passphrase);
    const verifiers = await readVerifiers(options.verifiers ?? []);
    const { message, checkRest } = await openMessage(source);
    checkRecipient(message, privateKeys);
    yield* plaintext(message, privateKeys, verifiers, options);
    await checkRest();
  } catch (error) {
    throw explain(error, options.maxOutputBytes);
  }
}

interface OpenedMessage {
  readonly message: Message<ReadableStream<Uint8Array>>;
  /** Reads what stands behind the message. */
  readonly checkRest: () => Promise<void>;
}

async function openMessage(source: Readable): Promise<OpenedMessage> {
  const { head, chunks } = await withHead(source, pgpHeadBytes);
  const form = pgpForm(head);
  if (form === undefined) {
    await chunks.return(undefined);
    throw new InputError('pgp-not-pgp', 'the file is no OpenPGP message, although it should be encrypted');
  }
  if (form === 'armored' && !head.includes('-----BEGIN PGP MESSAGE')) {
    await chunks.return(undefined);
    throw new InputError('pgp-not-encrypted', 'the file is an OpenPGP key or a signed text, not an encrypted message');
  }
  if (form === 'armored') {
    const armor = new ArmoredMessage(chunks);
    const message = await readMessage({ armoredMessage: ReadableStream.from(armor.text()) as never });
    return { message, checkRest: () => armor.checkRest() };
  }
  // A binary message is followed by packets that belong to it, or it is damaged: OpenPGP.js reads on by itself.
  const message = await readMessage({ binaryMessage: ReadableStream.from(chunks) as never });
  return { message, checkRest: () => Promise.resolve() };
}

function checkRecipient(message: Message<ReadableStream<Uint8Array>>, privateKeys: readonly PrivateKey[]): void {
  const wanted = message.getEncryptionKeyIDs();
  if (wanted.length === 0) {
    if (message.packets.filterByTag(enums.packet.symEncryptedSessionKey).length > 0) {
      const hint =
        'the message is encrypted with a password only; it must be encrypted for the public key of this connection';
      throw new InputError('pgp-password-only', hint);
    }
    throw new InputError('pgp-not-encrypted', 'the OpenPGP message is signed or compressed, but not encrypted');
  }
  const own = privateKeys.flatMap((key) => key.getKeyIDs());
  // A key ID of zeros hides the recipient; every key may be tried.
  if (wanted.some((id) => /^0+$/.test(id.toHex()) || own.some((candidate) => candidate.equals(id)))) return;
  const ids = wanted.map((id) => id.toHex().toUpperCase()).join(', ');
  const text = `the message is encrypted for ${ids}, not for the private key of this connection`;
  throw new InputError('pgp-wrong-key', text, { at: 'pgp.privateKey' });
}

async function* plaintext(
  message: Message<ReadableStream<Uint8Array>>,
  decryptionKeys: PrivateKey[],
  verificationKeys: PublicKey[],
  options: DecryptPgpOptions,
): AsyncGenerator<Uint8Array> {
  const { data, signatures } = await decrypt({
    message: message as never,
    decryptionKeys,
    verificationKeys,
    format: 'binary',
    config: { allowUnauthenticatedStream: true, maxDecompressedMessageSize: options.maxOutputBytes },
  });
  // Settled at once, so that a verdict nobody has asked for yet is not an unhandled rejection.
  const verdicts = Promise.allSettled(signatures.map((signature) => signature.verified));
  let bytes = 0;
  for await (const chunk of data as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > options.maxOutputBytes) throw tooLarge(options.maxOutputBytes);
    yield chunk;
  }
  const signers = signatures.map((signature) => signature.keyID.toHex().toUpperCase());
  judgeSignatures(await verdicts, signers, verificationKeys.length > 0, options.requireSignature);
}

function judgeSignatures(
  verdicts: readonly PromiseSettledResult<true>[],
  signers: readonly string[],
  hasVerifiers: boolean,
  requireSignature = hasVerifiers,
): void {
  if (verdicts.some((verdict) => verdict.status === 'fulfilled')) return;
  if (verdicts.length === 0) {
    if (requireSignature)
      throw new InputError('pgp-not-signed', 'the message is not signed, but a signature is required');
    return;
  }
  const isUnknown = (verdict: PromiseSettledResult<true>): boolean =>
    verdict.status === 'rejected' && /could not find signing key/i.test(String(verdict.reason));
  const invalid = verdicts.find((verdict) => !isUnknown(verdict));
  if (invalid !== undefined) {
    const cause: unknown = invalid.status === 'rejected' ? invalid.reason : undefined;
    throw new InputError('pgp-signature-invalid', `the signature by ${signers.join(', ')} is not valid`, { cause });
  }
  if (requireSignature) {
    const text = `the message is signed by ${signers.join(', ')}, none of them a verifier of this connection`;
    throw new InputError('pgp-signature-unknown', text, { at: 'pgp.verifiers' });
  }
}

function tooLarge(maxOutputBytes: number): InputError {
  const text = `the message decrypts to more than ${maxOutputBytes} bytes; raise the limit if that is right`;
  return new InputError('pgp-too-large', text);
}

/** OpenPGP.js throws plain errors; their texts are all there is to go by. Whatever else it says of a message is damage. */
function explain(error: unknown, maxOutputBytes: number): unknown {
  if (error instanceof InputError || error instanceof TransientError) return error;
  const message = String(error);
  if (/maximum decompressed/i.test(message)) return tooLarge(maxOutputBytes);
  if (/message is not authenticated/i.test(message)) {
    const text = 'the message is encrypted without integrity protection, as only very old programs do; encrypt it anew';
    return new InputError('pgp-not-protected', text, { cause: error });
  }
  if (/non-preferred symmetric|unsupported cipher|invalid enum value/i.test(message)) {
    const text =
      'the message is encrypted with a cipher other than AES, 3DES or CAST5, or one its key does not name: use AES';
    return new InputError('pgp-cipher-unsupported', text, { cause: error });
  }
  if (/modification detected|authentication tag|data check|invalid|inflate|unexpected end of file/i.test(message)) {
    const text = 'the message was changed or damaged after it was encrypted: its integrity check failed';
    return new InputError('pgp-tampered', text, { cause: error });
  }
  const text = 'the OpenPGP message is cut off or damaged; send it again';
  return new InputError('pgp-damaged', text, { cause: error });
}

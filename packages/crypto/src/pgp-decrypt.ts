import { Readable } from 'node:stream';
import { InputError, TransientError } from '@millrace/domain';
import { decrypt, readMessage, type PartialConfig } from 'openpgp';
import { isArmored, isPgp } from './pgp-detect.js';
import { readPublicKeys, unlockPrivateKeys } from './pgp-keys.js';

export interface DecryptOptions {
  readonly privateKey?: string | undefined;
  readonly passphrase?: string | undefined;
  /** Public keys of those who may have signed. A signature that is there must then be good. */
  readonly verifiers?: readonly string[] | undefined;
  /** Refuse what nobody of `verifiers` has signed. */
  readonly requireSignature?: boolean;
  /** More plaintext than this is refused: a small message may unpack to anything. */
  readonly maxOutputBytes: number;
}

/**
 * The plaintext of an OpenPGP message, armored or binary, as a stream in bounded memory. Plaintext comes out before its integrity
 * is known: only when the stream has *ended* without error is it what was encrypted. Errors (InputError): 'pgp-not-encrypted',
 * 'pgp-wrong-key', 'pgp-wrong-passphrase', 'pgp-tampered', 'pgp-truncated', 'pgp-bad-signature', 'pgp-not-signed', 'pgp-too-large'.
 */
export function decryptPgp(source: Readable, options: DecryptOptions): Readable {
  const plaintext = Readable.from(decrypted(source, options), { objectMode: false, highWaterMark: 256 * 1024 });
  plaintext.once('close', () => source.destroy());
  return plaintext;
}

async function* decrypted(source: Readable, options: DecryptOptions): AsyncGenerator<Uint8Array, void, undefined> {
  let sourceError: Error | undefined;
  source.once('error', (error) => (sourceError = error));
  try {
    const { privateKey, passphrase, verifiers = [], requireSignature = false } = options;
    if (privateKey === undefined) {
      throw new InputError('pgp-no-key', 'the file is encrypted and the connection has no PGP private key', { at: 'pgp.privateKey' });
    }
    const decryptionKeys = [...(await unlockPrivateKeys({ privateKey, passphrase }))];
    const verificationKeys = [...(await readPublicKeys(verifiers, 'pgp.verifiers'))];
    const config: PartialConfig = { allowUnauthenticatedStream: true, maxDecompressedMessageSize: options.maxOutputBytes };
    const message = await openMessage(source, config);
    const { data, signatures } = await decrypt({ message, decryptionKeys, verificationKeys, format: 'binary', config });
    if (requireSignature && signatures.length === 0) throw new InputError('pgp-not-signed', 'the message carries no signature, and one is required');
    // Rejections are looked at below, after the data.
    for (const { verified } of signatures) verified.catch(() => undefined);
    let bytes = 0;
    for await (const chunk of data as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      if (bytes > options.maxOutputBytes) throw tooLarge(options.maxOutputBytes);
      yield chunk;
    }
    if (verificationKeys.length > 0 && signatures.length > 0) await requireGoodSignature(signatures);
  } catch (error) {
    throw sourceError ?? translate(error, options);
  }
}

async function openMessage(source: Readable, config: PartialConfig): Promise<Awaited<ReturnType<typeof readMessage<ReadableStream<Uint8Array>>>>> {
  const { head, rest } = await peek(source, 64);
  if (!isPgp(head)) throw new InputError('pgp-not-encrypted', 'the file is no OpenPGP message');
  const stream = Readable.toWeb(rest);
  const message = isArmored(head)
    ? await readMessage({ armoredMessage: stream.pipeThrough(new TextDecoderStream('latin1') as never) as unknown as ReadableStream<string>, config })
    : await readMessage({ binaryMessage: stream as unknown as ReadableStream<Uint8Array>, config });
  return message as Awaited<ReturnType<typeof readMessage<ReadableStream<Uint8Array>>>>;
}

/** The first bytes, and a stream that has them still in front. */
async function peek(source: Readable, bytes: number): Promise<{ readonly head: Buffer; readonly rest: Readable }> {
  const iterator = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < bytes) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    chunks.push(value);
    size += value.length;
  }
  const remaining = { [Symbol.asyncIterator]: () => iterator };
  const rest = async function* (): AsyncGenerator<Buffer> {
    yield* chunks;
    yield* remaining;
  };
  return { head: Buffer.concat(chunks).subarray(0, bytes), rest: Readable.from(rest(), { objectMode: false, highWaterMark: 256 * 1024 }) };
}

async function requireGoodSignature(signatures: readonly { readonly verified: Promise<true> }[]): Promise<void> {
  const results = await Promise.allSettled(signatures.map(({ verified }) => verified));
  if (results.some((result) => result.status === 'fulfilled')) return;
  const failure = results.find((result) => result.status === 'rejected');
  throw new InputError('pgp-bad-signature', 'the signature of the message was not made by any of the given public keys, or the message was changed', {
    at: 'pgp.verifiers',
    cause: failure?.reason,
  });
}

function tooLarge(maxOutputBytes: number): InputError {
  return new InputError('pgp-too-large', `the message unpacks to more than ${maxOutputBytes} bytes, the configured limit`);
}

// OpenPGP.js has no error classes or codes: its messages are all there is to go by (6.3).
function translate(error: unknown, { maxOutputBytes }: DecryptOptions): unknown {
  if (error instanceof InputError || error instanceof TransientError || !(error instanceof Error)) return error;
  const { message } = error;
  if (/Modification detected|Authentication tag mismatch|MDC/i.test(message)) {
    return new InputError('pgp-tampered', 'the message was changed or damaged after it was encrypted: its integrity check failed', { cause: error });
  }
  if (/Session key decryption failed|No symmetrically encrypted session key|no matching|Could not find|decryption key/i.test(message)) {
    return new InputError('pgp-wrong-key', 'the message is not encrypted for the PGP private key of this connection', { at: 'pgp.privateKey', cause: error });
  }
  if (/Maximum decompressed message size|maxDecompressedMessageSize/i.test(message)) return tooLarge(maxOutputBytes);
  if (/not encrypted|No encrypted data/i.test(message)) return new InputError('pgp-not-encrypted', 'the file is an OpenPGP message, but it is not encrypted', { cause: error });
  if (/unexpected end|end of (packet|input|stream)|truncated|Unexpected EOF|Misformed|CRC|checksum|Premature/i.test(message)) {
    return new InputError('pgp-truncated', 'the message ends too early or is damaged: it was not transferred completely', { cause: error });
  }
  return new InputError('pgp-unreadable', 'the message cannot be read as OpenPGP', { cause: error });
}

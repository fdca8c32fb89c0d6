import type { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { createMessage, enums, sign } from 'openpgp';
import { byteStream, gathered, withHead } from '@millrace/byte-stream';
import { endingAtFailure } from './ending-at-failure.js';
import { messageChunkBytes } from './message-chunks.js';
import { readSigners } from './pgp-keys.js';

/**
 * Signs without encrypting, in constant memory: a binary message that holds the content and its signature, which
 * `gpg --decrypt` unwraps and verifies. Nothing is compressed.
 *
 * It ends with the source's error, or an InputError of `checkPgpKeys`. Destroying it destroys the source.
 */
export function signPgp(
  source: Readable,
  signWith: { readonly privateKey: string; readonly passphrase?: string | undefined },
): Readable {
  return byteStream(signed(source, signWith), source);
}

async function* signed(source: Readable, signWith: Parameters<typeof signPgp>[1]): AsyncGenerator<Uint8Array> {
  const signingKeys = await readSigners(signWith.privateKey, signWith.passphrase, 'pgp.privateKey');
  const { chunks } = await withHead(source, 0);
  const input = endingAtFailure(gathered(chunks, messageChunkBytes));
  const message = await createMessage({ binary: ReadableStream.from(input.chunks) as never });
  const output = await sign({
    message,
    signingKeys,
    format: 'binary',
    config: { preferredCompressionAlgorithm: enums.compression.uncompressed },
  });
  for await (const chunk of output as unknown as AsyncIterable<Uint8Array>) {
    input.throwFailure();
    yield chunk;
  }
  input.throwFailure();
}

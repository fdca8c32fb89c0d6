// Encrypts and signs sources that fail, each at another place. Exits 0 if every stream ended with its source's error;
// a rejection that nobody handled ends the process with 1, as it would end a service.
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { generateKey } from 'openpgp';
import { encryptPgp } from '../dist/index.js';

const { privateKey, publicKey } = await generateKey({ userIDs: [{ email: 'signer@x.test' }], format: 'armored' });
for (let chunks = 0; chunks < 30; chunks += 1) {
  const source = Readable.from(failingAfter(chunks), { objectMode: false });
  const stream = encryptPgp(source, { recipients: [publicKey], signWith: { privateKey } });
  const end = await finished(stream.resume()).then(
    () => 'no error',
    (error) => error.message,
  );
  if (end !== 'the connection broke') throw new Error(`after ${chunks} chunks the stream ended with: ${end}`);
}
// Rejections are told of a moment late.
await new Promise((resolve) => setTimeout(resolve, 50));

async function* failingAfter(chunks) {
  for (let number = 0; number < chunks; number += 1) {
    yield randomBytes(10_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('the connection broke');
}

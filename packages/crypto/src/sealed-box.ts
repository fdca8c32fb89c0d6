import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { InputError } from '@millrace/domain';

/** Of X25519 keys, before their 32 bytes: RFC 8410. */
const privatePrefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b656e032100', 'hex');
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const version = 'x1';

/**
 * The pair of a service's sealing key: whoever has the public one can close a box that only this service opens. Nothing more is to be
 * kept: HKDF-SHA-256 (RFC 5869) gives the private one again.
 * @returns `publicKey` of 32 bytes, for anybody
 */
export function deriveBoxKeys(sealingKey: Uint8Array): {
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
} {
  const seed = Buffer.from(hkdfSync('sha256', sealingKey, '', 'millrace sealed boxes', keyBytes));
  const privateKey = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: 'der', type: 'pkcs8' });
  return { publicKey: rawPublicKey(createPublicKey(privateKey)), privateKey };
}

/**
 * Closes boxes for one receiver, many of them: one key agreement (X25519 with a key thrown away) for all, and for each AES-256-GCM
 * under a nonce of its own. `place` says where the box belongs: it opens nowhere else.
 * @returns a function that gives `x1.<public key>.<nonce>.<ciphertext and tag>`, base64url
 */
export function boxCloser(publicKey: Uint8Array): (plaintext: string, place: string) => string {
  const once = generateKeyPairSync('x25519');
  const sender = rawPublicKey(once.publicKey);
  const key = agreedKey(once.privateKey, importPublicKey(publicKey), sender);
  const head = `${version}.${Buffer.from(sender).toString('base64url')}`;
  return (plaintext, place) => {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    cipher.setAAD(Buffer.from(place));
    const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${head}.${nonce.toString('base64url')}.${body.toString('base64url')}`;
  };
}

/** @throws InputError `seal-broken` when it is no such box, was changed, or was closed for another key or place */
export function openBox(box: string, privateKey: KeyObject, place: string): string {
  const [prefix, senderText = '', nonceText = '', bodyText = '', ...rest] = box.split('.');
  const sender = Buffer.from(senderText, 'base64url');
  const nonce = Buffer.from(nonceText, 'base64url');
  const body = Buffer.from(bodyText, 'base64url');
  try {
    if (prefix !== version || rest.length > 0 || sender.length !== keyBytes || nonce.length !== nonceBytes)
      throw new RangeError('not a box');
    const key = agreedKey(privateKey, importPublicKey(sender), sender);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(body.subarray(body.length - tagBytes));
    const plaintext = Buffer.concat([decipher.update(body.subarray(0, body.length - tagBytes)), decipher.final()]);
    return plaintext.toString('utf8');
  } catch (error) {
    throw new InputError(
      'seal-broken',
      'what was sealed for this service does not open with its sealing key; check MILLRACE_SEALING_KEY',
      { cause: error },
    );
  }
}

function agreedKey(privateKey: KeyObject, publicKey: KeyObject, sender: Uint8Array): Buffer {
  const secret = diffieHellman({ privateKey, publicKey });
  return Buffer.from(hkdfSync('sha256', secret, sender, 'millrace sealed box', keyBytes));
}

function importPublicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([publicPrefix, raw]), format: 'der', type: 'spki' });
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(publicPrefix.length));
}

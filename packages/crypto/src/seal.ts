import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { InputError } from '@millrace/domain';

/** What a sealed value belongs to. It opens nowhere else: moved to another row or field, it is refused. */
export interface SealContext {
  readonly workspaceId: number;
  readonly connectionId: string;
  /** Path of the field, such as `pgp.passphrase`. */
  readonly field: string;
}

const version = 'v1';
const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

function associatedData(context: SealContext): Buffer {
  return Buffer.from(JSON.stringify([version, context.workspaceId, context.connectionId, context.field]));
}

function checkKey(key: Uint8Array): void {
  if (key.byteLength !== keyBytes) throw new RangeError(`a sealing key has ${keyBytes} bytes, this one ${key.byteLength}`);
}

/** AES-256-GCM under a random nonce: `v1.<nonce>.<ciphertext and tag>` in base64url. The context is authenticated, not stored. */
export function seal(plaintext: string, key: Uint8Array, context: SealContext): string {
  checkKey(key);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(associatedData(context));
  const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return `${version}.${nonce.toString('base64url')}.${body.toString('base64url')}`;
}

/** Whether a text has the form of a sealed value. */
export function isSealed(text: string): boolean {
  return /^v1\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{22,}$/.test(text);
}

/** The plaintext. InputError('seal-broken') for another key, another context, or a changed value. */
export function open(sealed: string, key: Uint8Array, context: SealContext): string {
  checkKey(key);
  try {
    if (!isSealed(sealed)) throw new RangeError('not a sealed value');
    const [, nonce = '', body = ''] = sealed.split('.');
    const bytes = Buffer.from(body, 'base64url');
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), { authTagLength: tagBytes });
    decipher.setAAD(associatedData(context));
    decipher.setAuthTag(bytes.subarray(-tagBytes));
    return Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]).toString('utf8');
  } catch (cause) {
    throw new InputError('seal-broken', `the secret ${context.field} does not open with this service's sealing key; enter it again, or restore the key it was sealed with`, {
      at: context.field,
      cause,
    });
  }
}

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { InputError } from '@millrace/domain';

/** Where a sealed value belongs. It opens nowhere else: the context is authenticated with it, not stored in it. */
export interface SealContext {
  readonly workspaceId: number;
  readonly connectionId: string;
  /** Path inside the connection, such as `credentials.secretAccessKey`. */
  readonly field: string;
}

const version = 'v1';
const nonceBytes = 12;
const tagBytes = 16;
export const sealingKeyBytes = 32;

/**
 * Encrypts a secret with AES-256-GCM under a nonce of its own: sealing twice gives two texts.
 * @returns `v1.<nonce>.<ciphertext and tag>`, base64url
 */
export function seal(plaintext: string, key: Uint8Array, context: SealContext): string {
  checkKey(key);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(associatedData(context));
  const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return [version, nonce.toString('base64url'), body.toString('base64url')].join('.');
}

/** Whether a text has the form of a sealed one; only `open` tells whether it is. */
export function isSealed(text: string): boolean {
  return /^v1\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{22,}$/.test(text);
}

/**
 * @throws InputError `seal-broken` when the text is not a sealed one, was changed, or was sealed with another key or for
 * another place
 */
export function open(sealed: string, key: Uint8Array, context: SealContext): string {
  checkKey(key);
  const [prefix, nonceText = '', bodyText = '', ...rest] = sealed.split('.');
  const nonce = Buffer.from(nonceText, 'base64url');
  const body = Buffer.from(bodyText, 'base64url');
  if (prefix !== version || rest.length > 0 || nonce.length !== nonceBytes || body.length < tagBytes) {
    throw broken(context);
  }
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(associatedData(context));
  decipher.setAuthTag(body.subarray(body.length - tagBytes));
  try {
    const plaintext = Buffer.concat([decipher.update(body.subarray(0, body.length - tagBytes)), decipher.final()]);
    return plaintext.toString('utf8');
  } catch {
    throw broken(context);
  }
}

function associatedData({ workspaceId, connectionId, field }: SealContext): Buffer {
  return Buffer.from(JSON.stringify(['millrace', version, workspaceId, connectionId, field]));
}

function broken({ field }: SealContext): InputError {
  const message = `the stored secret ${field} does not open with this service's sealing key; check MILLRACE_SEALING_KEY or store the secret again`;
  return new InputError('seal-broken', message, { at: field });
}

function checkKey(key: Uint8Array): void {
  if (key.length !== sealingKeyBytes) throw new RangeError(`a sealing key has ${sealingKeyBytes} bytes`);
}

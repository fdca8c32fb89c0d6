import { InputError, type PgpKeys } from '@millrace/domain';
import { decryptKey, readKeys, readPrivateKeys, type Key, type PrivateKey, type PublicKey } from 'openpgp';

export interface KeyDescription {
  /** Path of the field in `PgpKeys`: `privateKey`, `recipients.0`, ... */
  readonly field: string;
  /** Lower-case hexadecimal. */
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  /** When the key stops being usable; undefined: never. */
  readonly expiresAt: Date | undefined;
}

/** Private keys that are ready to decrypt and sign. */
export interface UnlockOptions {
  readonly privateKey: string;
  readonly passphrase?: string | undefined;
}

// A key is ASCII armor, or the binary form as base64 (JSON carries no bytes).
function keySource(text: string): { readonly armoredKeys: string } | { readonly binaryKeys: Uint8Array } {
  return text.includes('-----BEGIN PGP') ? { armoredKeys: text } : { binaryKeys: Buffer.from(text, 'base64') };
}

function unreadable(field: string, cause: unknown): InputError {
  return new InputError('pgp-key-unreadable', `${field} is no OpenPGP key; paste the whole block from -----BEGIN to -----END, or the binary key as base64`, {
    at: field,
    cause,
  });
}

/** Reads and unlocks private keys. InputError 'pgp-key-unreadable', 'pgp-wrong-passphrase'. */
export async function unlockPrivateKeys({ privateKey, passphrase }: UnlockOptions): Promise<readonly PrivateKey[]> {
  const source = keySource(privateKey);
  let keys: PrivateKey[];
  try {
    keys = await ('armoredKeys' in source ? readPrivateKeys(source) : readPrivateKeys(source));
  } catch (cause) {
    throw unreadable('pgp.privateKey', cause);
  }
  if (keys.length === 0) throw unreadable('pgp.privateKey', undefined);
  return Promise.all(
    keys.map(async (key) => {
      if (key.isDecrypted()) return key;
      if (passphrase === undefined) {
        throw new InputError('pgp-wrong-passphrase', 'the PGP private key is locked and no passphrase is given', { at: 'pgp.passphrase' });
      }
      try {
        return await decryptKey({ privateKey: key, passphrase });
      } catch (cause) {
        throw new InputError('pgp-wrong-passphrase', 'the passphrase does not unlock the PGP private key', { at: 'pgp.passphrase', cause });
      }
    }),
  );
}

/** Reads public keys. InputError 'pgp-key-unreadable', 'pgp-key-is-private'. */
export async function readPublicKeys(texts: readonly string[], field: string): Promise<readonly PublicKey[]> {
  const found = await Promise.all(
    texts.map(async (text, index) => {
      const at = `${field}.${index}`;
      const source = keySource(text);
      let keys: Key[];
      try {
        keys = await ('armoredKeys' in source ? readKeys(source) : readKeys(source));
      } catch (cause) {
        throw unreadable(at, cause);
      }
      if (keys.length === 0) throw unreadable(at, undefined);
      return keys.map((key) => {
        if (key.isPrivate()) throw new InputError('pgp-key-is-private', `${at} is a private key; give the public one`, { at });
        return key as PublicKey;
      });
    }),
  );
  return found.flat();
}

async function describe(field: string, key: Key): Promise<KeyDescription> {
  const expires = await key.getExpirationTime();
  return {
    field,
    fingerprint: key.getFingerprint(),
    userIds: key.getUserIDs(),
    expiresAt: expires instanceof Date ? expires : undefined,
  };
}

async function requireUsable(field: string, key: Key, purpose: string, check: () => Promise<unknown>): Promise<void> {
  if (await key.isRevoked()) throw new InputError('pgp-key-revoked', `${field} was revoked by its owner; ask for the new key`, { at: field });
  const expires = await key.getExpirationTime();
  if (expires instanceof Date && expires.getTime() <= Date.now()) {
    throw new InputError('pgp-key-expired', `${field} expired on ${expires.toISOString().slice(0, 10)}; ask for a renewed key`, { at: field });
  }
  try {
    await check();
  } catch (cause) {
    throw new InputError('pgp-key-unusable', `${field} cannot be used to ${purpose}`, { at: field, cause });
  }
}

/** Describes every key of a connection, and refuses those that would fail at night: unreadable, locked, expired, revoked, of the wrong kind. */
export async function checkPgpKeys(keys: PgpKeys): Promise<readonly KeyDescription[]> {
  const descriptions: KeyDescription[] = [];
  if (keys.privateKey !== undefined) {
    for (const key of await unlockPrivateKeys({ privateKey: keys.privateKey, passphrase: keys.passphrase })) {
      descriptions.push(await describe('privateKey', key));
    }
  }
  for (const [index, text] of keys.recipients.entries()) {
    for (const key of await readPublicKeys([text], 'pgp.recipients')) {
      const field = `pgp.recipients.${index}`;
      await requireUsable(field, key, 'encrypt', () => key.getEncryptionKey());
      descriptions.push(await describe(`recipients.${index}`, key));
    }
  }
  for (const [index, text] of keys.verifiers.entries()) {
    for (const key of await readPublicKeys([text], 'pgp.verifiers')) {
      await requireUsable(`pgp.verifiers.${index}`, key, 'verify signatures', () => key.getSigningKey());
      descriptions.push(await describe(`verifiers.${index}`, key));
    }
  }
  return descriptions;
}

import { decryptKey, readKeys, readPrivateKeys, type Key, type PrivateKey, type PublicKey } from 'openpgp';
import { InputError, type PgpKeys } from '@millrace/domain';

export interface KeyDescription {
  /** Where the key stands: `pgp.privateKey`, `pgp.recipients[0]`, `pgp.verifiers[2]`. */
  readonly field: string;
  /** Hexadecimal, upper case. */
  readonly fingerprint: string;
  readonly keyId: string;
  readonly userIds: readonly string[];
  /** `rsa 3072`, `curve25519` and the like, of the primary key. */
  readonly algorithm: string;
  readonly createdAt: Date;
  /** Undefined for keys that never expire. */
  readonly expiresAt: Date | undefined;
  /** What can be done with it now: a key without encryption subkey only signs; decrypting outlives the expiry. */
  readonly uses: readonly KeyUse[];
}

export type KeyUse = 'encrypt' | 'decrypt' | 'sign' | 'verify';

/**
 * Reads every key, opens the private one with its passphrase and makes sure that each can do what it is there for:
 * recipients encrypt, verifiers verify, the private key decrypts or signs (`uses` tells). An expired private key passes,
 * for old files can still be read with it; `expiresAt` tells.
 *
 * @throws InputError naming the field: `pgp-key-unreadable`, `pgp-private-key-given`, `pgp-public-key-given`,
 * `pgp-key-expired`, `pgp-key-revoked`, `pgp-key-weak`, `pgp-no-encryption-key`, `pgp-no-signing-key`,
 * `pgp-passphrase-missing`, `pgp-wrong-passphrase`
 */
export async function checkPgpKeys(keys: PgpKeys): Promise<readonly KeyDescription[]> {
  const descriptions: KeyDescription[] = [];
  const describeAll = async (read: readonly Key[], field: string): Promise<void> => {
    for (const key of read) descriptions.push(await describe(key, field));
  };
  if (keys.privateKey !== undefined) {
    const field = 'pgp.privateKey';
    const privateKeys = await openPrivateKeys(keys.privateKey, keys.passphrase, field);
    const isUseful = await Promise.all(privateKeys.map(async (key) => (await canDecrypt(key)) || (await canSign(key))));
    if (!isUseful.includes(true)) {
      throw new InputError('pgp-no-encryption-key', `${field} holds no key that can decrypt or sign`, { at: field });
    }
    await describeAll(privateKeys, field);
  }
  for (const [index, text] of keys.recipients.entries()) {
    const field = `pgp.recipients[${index}]`;
    await describeAll(await readRecipients([text]).catch((error: unknown) => renamed(error, field)), field);
  }
  for (const [index, text] of keys.verifiers.entries()) {
    const field = `pgp.verifiers[${index}]`;
    await describeAll(await readVerifiers([text]).catch((error: unknown) => renamed(error, field)), field);
  }
  return descriptions;
}

/** Public keys that can encrypt now. Fields in errors are counted as `pgp.recipients[i]`. */
export async function readRecipients(texts: readonly string[]): Promise<PublicKey[]> {
  return readEach(texts, 'pgp.recipients', async (key, field) => {
    await key.getEncryptionKey().catch((error: unknown) => {
      throw unusable(error, field, 'pgp-no-encryption-key', 'has no key that can encrypt');
    });
  });
}

/** Public keys that can verify. They may have expired: a signature counts as of the day it was made. */
export async function readVerifiers(texts: readonly string[]): Promise<PublicKey[]> {
  return readEach(texts, 'pgp.verifiers', async (key, field) => {
    await key.getSigningKey(undefined, null).catch((error: unknown) => {
      throw unusable(error, field, 'pgp-no-signing-key', 'has no key that can sign');
    });
  });
}

/** Private keys that can sign now, opened. */
export async function readSigners(text: string, passphrase: string | undefined, field: string): Promise<PrivateKey[]> {
  const keys = await openPrivateKeys(text, passphrase, field);
  for (const key of keys) {
    await key.getSigningKey().catch((error: unknown) => {
      throw unusable(error, field, 'pgp-no-signing-key', 'has no key that can sign');
    });
  }
  return keys;
}

/**
 * Whether a private key can sign today.
 * @throws InputError as `checkPgpKeys`, naming `pgp.privateKey` or `pgp.passphrase`
 */
export async function checkSigningKey(text: string, passphrase: string | undefined): Promise<void> {
  await readSigners(text, passphrase, 'pgp.privateKey');
}

/** Private keys, opened with the passphrase where they are protected. */
export async function openPrivateKeys(
  text: string,
  passphrase: string | undefined,
  field = 'pgp.privateKey',
): Promise<PrivateKey[]> {
  if (/-----BEGIN PGP PUBLIC KEY/.test(text)) throw publicKeyGiven(field);
  let keys: PrivateKey[];
  try {
    keys = isArmored(text)
      ? await readPrivateKeys({ armoredKeys: text })
      : await readPrivateKeys({ binaryKeys: binaryKey(text) });
  } catch (error) {
    const isPublic = await readKeysOf(text).then(
      (others) => others.length > 0,
      () => false,
    );
    throw isPublic ? publicKeyGiven(field) : unreadable(field, error);
  }
  if (keys.length === 0) throw unreadable(field);
  return Promise.all(keys.map((key) => opened(key, passphrase, field)));
}

async function opened(key: PrivateKey, passphrase: string | undefined, field: string): Promise<PrivateKey> {
  if (key.isDecrypted()) return key;
  const passphraseField = field.replace(/privateKey$/, 'passphrase');
  if (passphrase === undefined) {
    const message = `${field} is protected by a passphrase; give it in ${passphraseField}`;
    throw new InputError('pgp-passphrase-missing', message, { at: passphraseField });
  }
  try {
    return await decryptKey({ privateKey: key, passphrase });
  } catch (error) {
    const message = `the passphrase does not open ${field}`;
    throw new InputError('pgp-wrong-passphrase', message, { at: passphraseField, cause: error });
  }
}

async function canDecrypt(key: PrivateKey): Promise<boolean> {
  try {
    return (await key.getDecryptionKeys(undefined, null)).length > 0;
  } catch {
    return false;
  }
}

async function canSign(key: Key): Promise<boolean> {
  return key.getSigningKey().then(
    () => true,
    () => false,
  );
}

async function usesOf(key: Key): Promise<readonly KeyUse[]> {
  const signs = await canSign(key);
  if (key.isPrivate()) {
    const decrypts = await canDecrypt(key as PrivateKey);
    return [...(decrypts ? (['decrypt'] as const) : []), ...(signs ? (['sign'] as const) : [])];
  }
  const encrypts = await key.getEncryptionKey().then(
    () => true,
    () => false,
  );
  return [...(encrypts ? (['encrypt'] as const) : []), ...(signs ? (['verify'] as const) : [])];
}

async function readEach(
  texts: readonly string[],
  list: string,
  check: (key: PublicKey, field: string) => Promise<void>,
): Promise<PublicKey[]> {
  const keys: PublicKey[] = [];
  for (const [index, text] of texts.entries()) {
    const field = `${list}[${index}]`;
    if (/-----BEGIN PGP PRIVATE KEY/.test(text)) throw privateKeyGiven(field);
    const read = await readKeysOf(text).catch((error: unknown) => {
      throw unreadable(field, error);
    });
    if (read.length === 0) throw unreadable(field);
    for (const key of read) {
      if (key.isPrivate()) throw privateKeyGiven(field);
      await check(key as PublicKey, field);
      keys.push(key as PublicKey);
    }
  }
  return keys;
}

async function readKeysOf(text: string): Promise<Key[]> {
  return isArmored(text) ? readKeys({ armoredKeys: text }) : readKeys({ binaryKeys: binaryKey(text) });
}

function isArmored(text: string): boolean {
  return text.includes('-----BEGIN PGP ');
}

/** Binary keys travel as base64: settings are text. */
function binaryKey(text: string): Uint8Array {
  const compact = text.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(compact)) throw new Error('neither ASCII armor nor base64');
  return new Uint8Array(Buffer.from(compact, 'base64'));
}

async function describe(key: Key, field: string): Promise<KeyDescription> {
  const expiry = await key.getExpirationTime().catch(() => null);
  const { algorithm, bits, curve } = key.getAlgorithmInfo();
  return {
    field,
    fingerprint: key.getFingerprint().toUpperCase(),
    keyId: key.getKeyID().toHex().toUpperCase(),
    userIds: key.getUserIDs(),
    algorithm: curve ?? (bits === undefined ? algorithm : `${algorithm} ${bits}`),
    createdAt: key.getCreationTime(),
    expiresAt: expiry instanceof Date ? expiry : undefined,
    uses: await usesOf(key),
  };
}

function unusable(error: unknown, field: string, code: string, lacks: string): InputError {
  const reason = String(error);
  const details = { at: field, cause: error };
  if (/revoked/i.test(reason))
    return new InputError('pgp-key-revoked', `the key in ${field} has been revoked`, details);
  if (/expired/i.test(reason)) {
    return new InputError('pgp-key-expired', `the key in ${field} has expired; ask its owner for a new one`, details);
  }
  if (/too weak|not allowed|insecure/i.test(reason)) {
    return new InputError('pgp-key-weak', `the key in ${field} is too weak: ${reason}`, details);
  }
  return new InputError(code, `the key in ${field} ${lacks}`, details);
}

function unreadable(field: string, cause?: unknown): InputError {
  const message = `${field} is no OpenPGP key; paste the whole block from -----BEGIN to -----END, or base64 of a binary key`;
  return new InputError('pgp-key-unreadable', message, { at: field, cause });
}

function privateKeyGiven(field: string): InputError {
  const message = `${field} holds a private key; only the public key belongs there`;
  return new InputError('pgp-private-key-given', message, { at: field });
}

function publicKeyGiven(field: string): InputError {
  const message = `${field} holds a public key; the private key is needed`;
  return new InputError('pgp-public-key-given', message, { at: field });
}

/** Readers count from 0 in the list they are given; here it holds one key of a longer list. */
function renamed(error: unknown, field: string): never {
  if (!(error instanceof InputError) || error.at === undefined) throw error;
  throw new InputError(error.code, error.message.replace(error.at, field), { at: field, cause: error.cause });
}

export { decryptPgp, type DecryptPgpOptions } from './decrypt-pgp.js';
export { encryptPgp, type EncryptPgpOptions } from './encrypt-pgp.js';
export { hashIdentifier, sha256Hex } from './hash.js';
export { hasPgpExtension, isPgp, pgpForm, pgpHeadBytes, withoutPgpExtension, type PgpForm } from './pgp-detect.js';
export { checkPgpKeys, checkSigningKey, type KeyDescription, type KeyUse } from './pgp-keys.js';
export { derivePseudonymKey } from './pseudonym-key.js';
export { isSealed, open, seal, sealingKeyBytes, type SealContext } from './seal.js';
export { signPgp } from './sign-pgp.js';
export { openEndpoint, sealEndpoint, type EndpointSealContext } from './seal-endpoint.js';

export { hashIdentifier, sha256Hex } from './hash.js';
export { decryptPgp, type DecryptOptions } from './pgp-decrypt.js';
export { isPgp } from './pgp-detect.js';
export { encryptPgp, type EncryptOptions } from './pgp-encrypt.js';
export { checkPgpKeys, type KeyDescription } from './pgp-keys.js';
export { open, seal, type SealContext } from './seal.js';
export { openEndpoint, sealEndpoint } from './seal-endpoint.js';

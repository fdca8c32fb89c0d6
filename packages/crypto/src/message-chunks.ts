/** Each chunk passes half a dozen web streams inside OpenPGP.js: with gzip's 20 KB apiece that costs as much as the encryption itself. */
export const messageChunkBytes = 256 * 1024;

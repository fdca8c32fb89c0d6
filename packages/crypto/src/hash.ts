import { createHash } from 'node:crypto';

/** SHA-256 in lower-case hexadecimal; text is hashed as UTF-8. */
export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/**
 * The form in which advertising platforms exchange e-mail addresses and the like: SHA-256 of the text in lower case,
 * without the white space around it. It hides nothing from someone who can guess the text.
 */
export function hashIdentifier(text: string): string {
  return sha256Hex(text.normalize('NFC').trim().toLowerCase());
}

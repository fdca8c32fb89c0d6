export type PgpForm = 'armored' | 'binary';

/** Bytes of a file that `pgpForm` needs. */
export const pgpHeadBytes = 64;

const armorStart = /^\ufeff?\s*-----BEGIN PGP /;

/**
 * Whether a file begins like an OpenPGP message, and in which form. Binary messages have no magic number: the first
 * packet's tag, length and version are looked at, so that text in any charset is not mistaken for one.
 */
export function pgpForm(head: Uint8Array): PgpForm | undefined {
  if (armorStart.test(Buffer.from(head.subarray(0, pgpHeadBytes)).toString('utf8'))) return 'armored';
  return looksLikePacket(head) ? 'binary' : undefined;
}

export function isPgp(head: Uint8Array): boolean {
  return pgpForm(head) !== undefined;
}

/** Names by which senders mark encrypted files: `.pgp`, `.gpg`, `.asc`, in any case. */
export function hasPgpExtension(name: string): boolean {
  return /\.(?:pgp|gpg|asc)$/i.test(name);
}

/** The name without such an extension, `orders.csv.gz` for `orders.csv.gz.gpg`. */
export function withoutPgpExtension(name: string): string {
  return name.replace(/\.(?:pgp|gpg|asc)$/i, '');
}

// Packet tags of RFC 9580, section 5.
const publicKeySessionKey = 1;
const signature = 2;
const passwordSessionKey = 3;
const onePassSignature = 4;
const compressed = 8;
const marker = 10;

function looksLikePacket(head: Uint8Array): boolean {
  const packet = firstPacket(head);
  if (packet === undefined) return false;
  const { tag, body } = packet;
  const [version = -1] = body;
  switch (tag) {
    case publicKeySessionKey:
      return (version === 3 && isPublicKeyAlgorithm(body[9])) || version === 6;
    case signature:
      return version >= 3 && version <= 6;
    case passwordSessionKey:
      return version >= 4 && version <= 6;
    case onePassSignature:
      return version === 3 || version === 6;
    case compressed:
      return version >= 0 && version <= 3;
    case marker:
      return Buffer.from(body.subarray(0, 3)).toString('latin1') === 'PGP';
    default:
      return false;
  }
}

function isPublicKeyAlgorithm(algorithm: number | undefined): boolean {
  return algorithm !== undefined && [1, 2, 16, 18, 25, 26].includes(algorithm);
}

function firstPacket(head: Uint8Array): { tag: number; body: Uint8Array } | undefined {
  const [first = 0, length = 0] = head;
  if (first >= 0xc0) {
    const lengthBytes = length < 192 ? 1 : length < 224 ? 2 : length === 255 ? 5 : 1;
    return { tag: first & 0x3f, body: head.subarray(1 + lengthBytes) };
  }
  if (first >= 0x80) {
    const lengthBytes = [1, 2, 4, 0][first & 3] as number;
    return { tag: (first >> 2) & 0x0f, body: head.subarray(1 + lengthBytes) };
  }
  return undefined;
}

const armorStart = Buffer.from('-----BEGIN PGP MESSAGE');

/** Tags a PGP message may begin with: encrypted session keys, encrypted data, compressed data, one-pass signature (RFC 9580, 5). */
const messageTags = new Set([1, 3, 4, 8, 9, 18, 20]);

export function isArmored(head: Uint8Array): boolean {
  let start = 0;
  while (start < head.length && (head[start] === 0x0a || head[start] === 0x0d || head[start] === 0x20)) start += 1;
  return Buffer.from(head.buffer, head.byteOffset + start, Math.max(0, Math.min(armorStart.length, head.length - start))).equals(armorStart);
}

/** Whether a file's first bytes (32 will do) begin an OpenPGP message, armored or binary. */
export function isPgp(head: Uint8Array): boolean {
  const [first, second, third] = head;
  if (first === undefined) return false;
  if (isArmored(head)) return true;
  if ((first & 0x80) === 0) return false;
  const isNewFormat = (first & 0x40) !== 0;
  const tag = isNewFormat ? first & 0x3f : (first & 0x3c) >> 2;
  if (!messageTags.has(tag)) return false;
  // A session key packet names its version first; other high bytes (UTF-16, Windows-1252 text) do not.
  if (tag === 1) return sessionKeyVersion(isNewFormat, first, head) === 3 || sessionKeyVersion(isNewFormat, first, head) === 6;
  if (tag === 3) return [4, 5, 6].includes(sessionKeyVersion(isNewFormat, first, head) ?? 0);
  return second !== undefined && third !== undefined && !(first === 0xff && second === 0xfe) && !(first === 0xef && second === 0xbb);
}

function sessionKeyVersion(isNewFormat: boolean, first: number, head: Uint8Array): number | undefined {
  if (!isNewFormat) return head[1 + [1, 2, 4, 0][first & 3]!];
  const length = head[1];
  if (length === undefined) return undefined;
  if (length < 192) return head[2];
  return length === 255 ? head[6] : head[3];
}

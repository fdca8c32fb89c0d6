import { hkdfSync } from 'node:crypto';

/**
 * The key of a workspace's pseudonyms, 32 bytes: HKDF-SHA-256 (RFC 5869) of a service's sealing key. Nothing more is to be
 * kept, and whoever lacks the sealing key cannot try out values. Another service, workspace or sealing key gives other
 * pseudonyms, so a sealing key that is replaced ends their comparability.
 */
export function derivePseudonymKey(sealingKey: Uint8Array, workspaceId: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', sealingKey, '', `millrace pseudonym workspace ${workspaceId}`, 32));
}

import { createHash } from 'node:crypto';
import type { Normalisation } from '@millrace/domain';

/** Longest identifier, in characters: every one must fit a PostgreSQL index entry. */
export const maxIdentifierLength = 512;

const digest = /^\s*[0-9a-f]{64}\s*$/i;

/**
 * An identifier as it is stored and looked up, or undefined where nothing is left of it. What comes out goes in again
 * unchanged, so that exported identifiers find their profiles: where digests are stored, a digest is one already.
 * Import, look-up, ingestion and export all come through here.
 */
export function normaliseIdentifier(text: string, rule: Normalisation): string | undefined {
  if (rule.hash === 'sha256' && digest.test(text)) return text.trim().toLowerCase();
  let value = rule.trim ? text.trim() : text;
  if (rule.digitsOnly) value = (value.startsWith('+') ? '+' : '') + value.replace(/\D/g, '');
  if (rule.case === 'lower') value = value.toLowerCase();
  else if (rule.case === 'upper') value = value.toUpperCase();
  if (value === '' || value === '+') return undefined;
  return rule.hash === 'sha256' ? createHash('sha256').update(value, 'utf8').digest('hex') : value;
}

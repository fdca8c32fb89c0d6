import { createHash } from 'node:crypto';
import type { Normalisation } from '@millrace/domain';

/** Longest identifier, in characters: every one must fit a PostgreSQL index entry. */
export const maxIdentifierLength = 512;

/**
 * An identifier as it is stored and looked up, or undefined where nothing is left of it.
 * Import, look-up, ingestion and export all come through here.
 */
export function normaliseIdentifier(text: string, rule: Normalisation): string | undefined {
  let value = rule.trim ? text.trim() : text;
  if (rule.digitsOnly) value = (value.startsWith('+') ? '+' : '') + value.replace(/\D/g, '');
  if (rule.case === 'lower') value = value.toLowerCase();
  else if (rule.case === 'upper') value = value.toUpperCase();
  if (value === '' || value === '+') return undefined;
  return rule.hash === 'sha256' ? createHash('sha256').update(value, 'utf8').digest('hex') : value;
}

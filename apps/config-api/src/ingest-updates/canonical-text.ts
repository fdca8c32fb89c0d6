import { isLosslessNumber } from 'lossless-json';

/**
 * JSON whose text is the same for the same meaning: keys sorted, no spaces. Numbers stay as they were written, so `1.0` and `1`
 * differ; a client that sends again sends the same.
 */
export function canonicalText(value: unknown): string {
  if (isLosslessNumber(value)) return value.value;
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalText(inner)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

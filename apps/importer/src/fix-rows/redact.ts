/** Stands in a reject file for what must not leave the store. */
export const redacted = '[redacted]';

const secretName =
  /pass(?:word|wd|phrase|code)|secret|token|api[ _-]?key|private[ _-]?key|credential|\bpin\b|\bcvv?\b/i;
const secretValue =
  /-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+|\bgh[pousr]_\w{20,}/;

/** The value, or the mark in its place where its column or its form says that it is a secret. */
export function redact(column: string, value: string | null): string | null {
  if (value === null || value === '') return value;
  return secretName.test(column) || secretValue.test(value) ? redacted : value;
}

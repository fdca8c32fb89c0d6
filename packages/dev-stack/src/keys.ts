import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StackError } from './stack-error.js';

export interface StackKeys {
  /** Service name -> base64 of 32 bytes. */
  readonly sealing: Readonly<Record<string, string>>;
  /** With which one service asks another. */
  readonly serviceToken: string;
  /** The first API key, with the scope `platform`. */
  readonly apiKey: string;
}

/** The stack's secrets: made once, kept in `keys.json` for its owner's eyes only. A later service gets its key added. */
export function loadKeys(directory: string, services: readonly string[]): StackKeys {
  const file = path.join(directory, 'keys.json');
  const known = existsSync(file) ? read(file) : { sealing: {}, serviceToken: secret(), apiKey: `mr_${secret()}` };
  const missing = services.filter((service) => known.sealing[service] === undefined);
  const keys = {
    ...known,
    sealing: {
      ...known.sealing,
      ...Object.fromEntries(missing.map((service) => [service, randomBytes(32).toString('base64')])),
    },
  };
  if (missing.length > 0) {
    writeFileSync(file, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
    chmodSync(file, 0o600);
  }
  return keys;
}

function secret(): string {
  return randomBytes(30).toString('base64url');
}

function read(file: string): StackKeys {
  try {
    const keys = JSON.parse(readFileSync(file, 'utf8')) as StackKeys;
    const whole = [keys.apiKey, keys.serviceToken].every((text) => typeof text === 'string');
    if (whole && typeof keys.sealing === 'object') return keys;
  } catch {
    // Told below, together with a file of another shape.
  }
  throw new StackError(
    `${file} cannot be read: it holds the keys that open the credentials in the store`,
    'restore it, or delete the whole folder to start with an empty store',
  );
}

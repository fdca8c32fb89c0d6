import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadKeys } from './keys.js';

describe('loadKeys', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'millrace-keys-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('makes a key per service once, for its owner alone to read', () => {
    const keys = loadKeys(directory, ['importer']);
    expect(Buffer.from(keys.sealing['importer'] ?? '', 'base64')).toHaveLength(32);
    expect(loadKeys(directory, ['importer'])).toEqual(keys);
    expect(statSync(path.join(directory, 'keys.json')).mode & 0o777).toBe(0o600);
  });

  it('adds the key of a service that joined later and keeps the others', () => {
    const before = loadKeys(directory, ['importer']);
    const after = loadKeys(directory, ['importer', 'batch-exporter']);
    expect(after).toMatchObject({ apiKey: before.apiKey, sealing: before.sealing });
    expect(after.sealing['batch-exporter']).not.toBe(after.sealing['importer']);
  });

  it('refuses a damaged file instead of locking the store with new keys', () => {
    writeFileSync(path.join(directory, 'keys.json'), '{"sealing":');
    expect(() => loadKeys(directory, ['importer'])).toThrow(/cannot be read/);
  });
});

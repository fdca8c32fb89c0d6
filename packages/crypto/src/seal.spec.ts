import { randomBytes } from 'node:crypto';
import { isSealed, open, seal, type SealContext } from './seal.js';
import { openEndpoint, sealEndpoint } from './seal-endpoint.js';

const key = randomBytes(32);
const context: SealContext = { workspaceId: 1, connectionId: 'c', field: 'pgp.passphrase' };

describe('sealing', () => {
  it('gives back what was sealed, and never the same text twice', () => {
    const sealed = seal('geheim ✓', key, context);
    expect(open(sealed, key, context)).toBe('geheim ✓');
    expect(seal('geheim ✓', key, context)).not.toBe(sealed);
    expect(isSealed(sealed)).toBe(true);
  });

  it.each([
    ['another workspace', { ...context, workspaceId: 2 }],
    ['another connection', { ...context, connectionId: 'd' }],
    ['another field', { ...context, field: 'pgp.privateKey' }],
  ])('does not open in %s', (_, other) => {
    expect(() => open(seal('x', key, context), key, other)).toThrow(expect.objectContaining({ code: 'seal-broken' }));
  });

  it('does not open with another key, changed, or when it was never sealed', () => {
    const sealed = seal('x', key, context);
    const flipped = sealed.slice(0, 25) + (sealed[25] === 'A' ? 'B' : 'A') + sealed.slice(26);
    expect(() => open(sealed, randomBytes(32), context)).toThrow(expect.objectContaining({ code: 'seal-broken' }));
    expect(() => open(flipped, key, context)).toThrow(expect.objectContaining({ code: 'seal-broken' }));
    expect(() => open('plain text', key, context)).toThrow(expect.objectContaining({ code: 'seal-broken' }));
  });

  it('seals the secrets of an endpoint and nothing else', () => {
    const endpoint = {
      region: 'eu-central-1',
      credentials: { kind: 'access-key' as const, accessKeyId: 'AKIA', secretAccessKey: 'secret-one' },
      pgp: { privateKey: 'secret-two', passphrase: 'secret-three', recipients: ['public'], verifiers: [] },
    };
    const sealed = sealEndpoint(endpoint, key, context);
    expect(JSON.stringify(sealed)).not.toMatch(/secret-/);
    expect(JSON.stringify(sealed)).toContain('AKIA');
    expect(openEndpoint(sealed, key, context)).toEqual(endpoint);
  });
});

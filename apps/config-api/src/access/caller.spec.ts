import { allows, checkGrant, hashKey, type Caller } from './caller.js';

const caller = (scopes: Caller['scopes'], workspaceId: number | null = 1): Caller => ({
  keyId: 'k',
  name: 'test',
  workspaceId,
  scopes,
});

describe('allows', () => {
  it('lets a platform key do everything', () => {
    expect(allows(caller(['platform'], null), 'platform')).toBe(true);
    expect(allows(caller(['platform'], null), 'profile:write')).toBe(true);
  });

  it('lets an admin key do everything but what concerns the platform', () => {
    expect(allows(caller(['admin']), 'config:write')).toBe(true);
    expect(allows(caller(['admin']), 'platform')).toBe(false);
  });

  it('does not take writing for reading, nor reading for writing', () => {
    expect(allows(caller(['config:write']), 'config:read')).toBe(false);
    expect(allows(caller(['run:read']), 'run:write')).toBe(false);
  });
});

describe('checkGrant', () => {
  it('refuses to hand out what the caller lacks', () => {
    expect(() => checkGrant(caller(['config:read']), ['config:read', 'run:write'], 1)).toThrow('"run:write"');
    expect(() => checkGrant(caller(['admin'], null), ['platform'], null)).toThrow('"platform"');
  });

  it('refuses the scope platform in a key of one workspace', () => {
    expect(() => checkGrant(caller(['platform'], null), ['platform'], 1)).toThrow('leave out `workspace`');
  });

  it('lets an admin hand out every scope of its workspace', () => {
    expect(() => checkGrant(caller(['admin']), ['admin', 'profile:write'], 1)).not.toThrow();
  });
});

it('hashes keys with SHA-256', () => {
  expect(hashKey('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

import { goal, type Goal, type Scope } from '@millrace/domain';
import { activationScopes, requireActivation } from './activation.js';

const segmentId = '0194b2a0-0000-7000-8000-000000000001';
const exported = (source: object, more: object = {}): Goal =>
  goal.parse({
    kind: 'export-profiles',
    name: 'e',
    segmentId,
    target: { bucket: 'out' },
    columns: [{ header: 'h', source }],
    ...more,
  });
const seeing: readonly Scope[] = ['destination:activate', 'config:read', 'profile:read', 'segment:read'];

describe('letting data leave', () => {
  it('takes activating and seeing, and with identities in files the identity graph', () => {
    expect(activationScopes(exported({ kind: 'profile-id' }))).toEqual(seeing);
    expect(activationScopes(exported({ kind: 'identity', namespace: 'email' }))).toEqual([...seeing, 'identity:read']);
    const keyed = { deduplicate: { by: 'namespace', namespace: 'email' } };
    expect(activationScopes(exported({ kind: 'profile-id' }, keyed))).toEqual([...seeing, 'identity:read']);
  });

  it('takes nothing more where nothing leaves', () => {
    expect(activationScopes(exported({ kind: 'profile-id' }, { active: false }))).toEqual([]);
  });

  it('takes activating and seeing for a stream, which carries identities by definition', () => {
    const stream = goal.parse({ kind: 'stream', name: 's', streamName: 's', segmentIds: [segmentId] });
    expect(activationScopes(stream)).toEqual(seeing);
  });

  it('names every scope that is missing', () => {
    const caller = {
      keyId: 'k',
      name: 'n',
      workspaceId: 1,
      scopes: ['config:write', 'config:read', 'profile:read'] as const,
    };
    expect(() => requireActivation(caller, exported({ kind: 'profile-id' }))).toThrow(
      '"destination:activate", "segment:read"',
    );
    expect(() => requireActivation({ ...caller, scopes: ['admin'] }, exported({ kind: 'profile-id' }))).not.toThrow();
  });
});

import { decideRecord } from './decide-record.js';
import type { ProfileMembership, ProfileState } from './record-template.js';

const mapped = '019a0000-0000-7000-8000-000000000001';
const unmapped = '019a0000-0000-7000-8000-000000000002';

function profileIn(
  ...memberships: readonly (readonly [segmentId: string, status: ProfileMembership['status']])[]
): ProfileState {
  return {
    profileId: '019a0000-0000-7000-8000-00000000a001',
    version: '1',
    attributes: [],
    identities: [],
    memberships: memberships.map(([segmentId, status]) => ({ segmentId, status, qualifiedAtMs: 0 })),
  };
}

describe('decideRecord', () => {
  it.each([
    ['sends a profile that is in a mapped segment', profileIn([mapped, 'realized']), [], 'send'],
    ['sends the one record that says a mapped segment was left', profileIn([mapped, 'exited']), [mapped], 'send'],
    [
      'sends nothing for a profile that left its mapped segment before',
      profileIn([mapped, 'exited']),
      [],
      'not-eligible',
    ],
    ['sends nothing for a profile in unmapped segments only', profileIn([unmapped, 'realized']), [], 'not-eligible'],
    ['sends nothing when an unmapped segment was left', profileIn([unmapped, 'exited']), [unmapped], 'not-eligible'],
    ['sends nothing for a profile in no segment', profileIn(), [mapped], 'not-eligible'],
    ['knows a profile that is gone', undefined, [mapped], 'gone'],
  ] as const)('%s', (_name, state, changed, decision) => {
    expect(decideRecord(state, new Set([mapped]), changed)).toBe(decision);
  });
});

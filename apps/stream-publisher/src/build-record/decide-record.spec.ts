import { decideRecord, type RecordQuestion } from './decide-record.js';
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
    memberships: memberships.map(([segmentId, status]) => ({
      segmentId,
      status,
      qualifiedAt: '1970-01-01T00:00:00.000Z',
    })),
    consents: [],
  };
}

function question(more: Partial<RecordQuestion> = {}): RecordQuestion {
  return {
    mappedSegments: new Set([mapped]),
    changedSegments: [],
    erased: false,
    objectives: [],
    told: false,
    ...more,
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
    expect(decideRecord(state, question({ changedSegments: changed }))).toBe(decision);
  });

  it('tells of an erasure where the profile was in a mapped segment, and only there', () => {
    expect(decideRecord(undefined, question({ erased: true, changedSegments: [mapped] }))).toBe('erase');
    expect(decideRecord(undefined, question({ erased: true }))).toBe('gone');
  });

  describe('where consent matters', () => {
    const objectives = ['news', 'offers'];
    const member = profileIn([mapped, 'realized']);

    it('sends who has granted one of the objectives', () => {
      expect(decideRecord({ ...member, consents: ['other', 'offers'] }, question({ objectives }))).toBe('send');
    });

    it('withholds whoever has not, however much changed', () => {
      const asked = question({ objectives, changedSegments: [mapped] });
      expect(decideRecord(member, asked)).toBe('withheld');
      expect(decideRecord({ ...member, consents: ['other'] }, asked)).toBe('withheld');
    });

    it('takes back whom the stream knows', () => {
      expect(decideRecord(member, question({ objectives, told: true }))).toBe('withdraw');
    });

    it('tells of an erasure where the stream knows the profile, and names nobody to one that does not', () => {
      const erased = { objectives, erased: true, changedSegments: [mapped] };
      expect(decideRecord(undefined, question({ ...erased, told: true }))).toBe('erase');
      expect(decideRecord(undefined, question(erased))).toBe('gone');
    });
  });
});

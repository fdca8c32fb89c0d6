import { streamGoal } from '@millrace/domain';
import type { DueDelivery } from '../storage/deliveries.js';
import { buildRecords } from './build-records.js';

const segment = '019a0000-0000-7000-8000-000000000001';

function due(profileId: string, fields: Partial<DueDelivery> = {}): DueDelivery {
  return {
    goalId: 'goal',
    profileId,
    lane: 0,
    seq: '2',
    reasons: 4,
    segments: [segment],
    attempts: 0,
    changedAtMs: 0,
    waitedMs: 0,
    dueSinceMs: 0,
    erased: null,
    place: undefined,
    backfill: false,
    ...fields,
  };
}

describe('buildRecords', () => {
  it('gives up one profile whose record cannot be built, and says nothing of it; the others are built', () => {
    const goal = streamGoal.parse({ kind: 'stream', name: 'g', streamName: 's', segmentIds: [segment] });
    const erased = JSON.stringify({ version: '7', identities: [[1, 'ada@example.com']], memberships: [] });
    const { records, unsendable } = buildRecords(
      {
        goal,
        mappedSegments: new Set([segment]),
        consentObjectives: [],
        template: { render: () => '{}' },
        partitionKey: (state) => state.profileId,
      },
      [due('a', { erased }), due('b', { erased: erased.replace('1,', '"1",') }), due('c', { erased })],
      new Map(),
      new Set(),
    );
    expect(records.map(({ delivery }) => delivery.profileId)).toEqual(['a', 'c']);
    expect(unsendable).toMatchObject([{ profileId: 'b', code: 'record-not-built', retryInMs: undefined }]);
    expect(JSON.stringify(unsendable)).not.toContain('ada');
  });
});

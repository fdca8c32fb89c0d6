import { goalSnapshot, streamGoal } from '@millrace/domain';
import { backfillScope, type StreamSnapshot } from './backfill-scope.js';

const first = '019a0000-0000-7000-8000-000000000001';
const second = '019a0000-0000-7000-8000-000000000002';

function snapshot(
  change: Record<string, unknown> = {},
  endpoint: Partial<StreamSnapshot['endpoint']> = {},
  consentObjectives: readonly string[] = [],
): StreamSnapshot {
  const goal = streamGoal.parse({
    kind: 'stream',
    name: 'g',
    streamName: 's',
    segmentIds: [first],
    properties: ['a', 'b'],
    ...change,
  });
  const frozen = goalSnapshot.parse({
    version: 1,
    workspaceId: 1,
    connectionId: '019a0000-0000-7000-8000-0000000000c1',
    goalId: '019a0000-0000-7000-8000-0000000000d1',
    goal,
    endpoint: { region: 'us-east-1', credentials: { kind: 'default-chain' }, ...endpoint },
    consentObjectives,
  });
  return { ...frozen, goal };
}

describe('backfillScope', () => {
  it('is every segment for a goal that has not collected changes', () => {
    expect(backfillScope(undefined, snapshot({ segmentIds: [first, second] }))).toEqual([first, second]);
  });

  it('is only what was added when segments were added', () => {
    expect(backfillScope(snapshot(), snapshot({ segmentIds: [first, second] }))).toEqual([second]);
  });

  it('is nothing when nothing a receiver sees has changed', () => {
    const next = snapshot(
      { name: 'renamed', retries: 5, properties: ['b', 'a'], suppressSameValue: true },
      { credentials: { kind: 'access-key', accessKeyId: 'k', secretAccessKey: 's' } },
    );
    expect(backfillScope(snapshot(), next)).toEqual([]);
  });

  it.each([
    ['another stream', snapshot({ streamName: 'other' })],
    ['another region', snapshot({}, { region: 'eu-west-1' })],
    ['a property more', snapshot({ properties: ['a', 'b', 'c'] })],
    ['segment names', snapshot({ includeSegmentNames: true })],
    ['another partition key', snapshot({ partitionKey: { kind: 'identity', namespace: 'email' } })],
  ])('is every segment after a change to %s', (_name, next) => {
    expect(backfillScope(snapshot(), next)).toEqual([first]);
  });

  it('is every segment when the objectives to consent to are others', () => {
    expect(backfillScope(snapshot(), snapshot({}, {}, ['news']))).toEqual([first]);
    expect(backfillScope(snapshot({}, {}, ['a', 'b']), snapshot({}, {}, ['b', 'a']))).toEqual([]);
  });
});

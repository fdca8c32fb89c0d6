import type { CollectingGoal } from '../storage/goals.js';
import type { OutboxRow } from '../storage/outbox.js';
import { reason } from '../storage/reasons.js';
import { gatherChanges } from './gather-changes.js';

function goal(goalId: string, fields: Partial<CollectingGoal> = {}): CollectingGoal {
  return {
    goalId,
    workspaceId: 1,
    snapshotId: 'snapshot',
    active: true,
    propertyIds: new Set([1]),
    segmentIds: new Set(['s1', 's2']),
    suppressSameValue: false,
    readsConsent: false,
    ...fields,
  };
}

function row(id: bigint, profileId: string, marks: string, fields: Partial<OutboxRow> = {}): OutboxRow {
  return {
    id,
    place: `(0,${id})`,
    lane: 7,
    workspaceId: 1,
    profileId,
    occurredAtMs: Number(id) * 10,
    waitedMs: 100 - Number(id),
    marks,
    erased: null,
    owingGoals: [],
    ...fields,
  };
}

const wrote1 = '1///0/0/0';
const wrote2 = '2///0/0/0';

describe('gatherChanges', () => {
  it('makes one delivery of all changes of a profile, for each goal that cares for any of them', () => {
    const rows = [row(3n, 'p', '//s1/0/0/0'), row(5n, 'p', wrote1), row(4n, 'p', '//s2,s1/1/0/0')];
    const [delivery, ...others] = gatherChanges(rows, [goal('g')]).get('g') ?? [];
    expect(others).toEqual([]);
    expect(delivery).toMatchObject({
      profileId: 'p',
      lane: 7,
      reasons: reason.segment | reason.attribute | reason.identity,
      segments: ['s1', 's2'],
      firstChangeAtMs: 30,
      changedAtMs: 50,
      waitedMs: 97,
      place: undefined,
    });
  });

  it('numbers a delivery after the newest change in it, by even numbers', () => {
    const rows = [row(9n, 'p', wrote1), row(11n, 'p', wrote1), row(10n, 'q', wrote1)];
    const deliveries = gatherChanges(rows, [goal('g')]).get('g') ?? [];
    expect(deliveries.map(({ profileId, seq }) => [profileId, seq])).toEqual([
      ['p', '22'],
      ['q', '20'],
    ]);
  });

  it('leaves out goals that do not care, and goals of other workspaces', () => {
    const goals = [goal('writes', { propertyIds: new Set([2]) }), goal('other'), goal('elsewhere', { workspaceId: 2 })];
    expect([...gatherChanges([row(1n, 'p', wrote2)], goals).keys()]).toEqual(['writes']);
  });

  it('keeps what is left of an erased profile', () => {
    const rows = [row(1n, 'p', wrote1), row(2n, 'p', '//s1/1/0/1', { erased: '{"version":"3"}' })];
    expect(gatherChanges(rows, [goal('g')]).get('g')).toMatchObject([
      { erased: '{"version":"3"}', reasons: reason.attribute | reason.erasure, segments: ['s1'] },
    ]);
  });

  it('says of which goals the change has to join what they owe already', () => {
    const gathered = gatherChanges([row(1n, 'p', wrote1, { owingGoals: ['b'] })], [goal('a'), goal('b')]);
    expect(gathered.get('a')?.map(({ joins }) => joins)).toEqual([false]);
    expect(gathered.get('b')?.map(({ joins }) => joins)).toEqual([true]);
  });
});

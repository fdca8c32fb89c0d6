import type { ProfileState } from './record-template.js';

/**
 * `send`: the profile is in a mapped segment now, or one of those it has just left is mapped (the record that says so).
 * `not-eligible`: it is in none, and the stream was told before. `gone`: there is no such profile any more.
 */
type RecordDecision = 'send' | 'not-eligible' | 'gone';

/** `changedSegments`: mapped segments that changed since the profile's last record. */
export function decideRecord(
  state: ProfileState | undefined,
  mappedSegments: ReadonlySet<string>,
  changedSegments: readonly string[],
): RecordDecision {
  if (state === undefined) return 'gone';
  const eligible = state.memberships.some(
    ({ segmentId, status }) =>
      mappedSegments.has(segmentId) && (status === 'realized' || changedSegments.includes(segmentId)),
  );
  return eligible ? 'send' : 'not-eligible';
}

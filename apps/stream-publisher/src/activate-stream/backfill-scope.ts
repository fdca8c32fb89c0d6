import type { GoalSnapshot, StreamGoal } from '@millrace/domain';

/** A goal's snapshot whose goal is a stream. */
export interface StreamSnapshot extends GoalSnapshot {
  readonly goal: StreamGoal;
}

/**
 * The segments whose members must be sent after an activation. A goal that was not collecting changes, or whose records look
 * different now or go elsewhere, sends all of them; one that only mapped further segments sends theirs.
 */
export function backfillScope(previous: StreamSnapshot | undefined, next: StreamSnapshot): readonly string[] {
  if (previous === undefined || fingerprint(previous) !== fingerprint(next)) return next.goal.segmentIds;
  return next.goal.segmentIds.filter((segmentId) => !previous.goal.segmentIds.includes(segmentId));
}

// What a receiver would notice. Not the key or the sealed secret: they change without the stream being another.
function fingerprint({ goal, endpoint, consentObjectives }: StreamSnapshot): string {
  return JSON.stringify([
    endpoint.region,
    endpoint.endpoint,
    goal.streamName,
    [...goal.properties].sort(),
    goal.includeSegmentNames,
    goal.includeSegmentTimestamps,
    goal.envelope,
    goal.partitionKey,
    [...consentObjectives].sort(),
  ]);
}

import type { StreamDecision } from '@millrace/domain';
import type { ProfileState } from './record-template.js';

/** What decides whether a profile is sent, beside its state. */
export interface RecordQuestion {
  readonly mappedSegments: ReadonlySet<string>;
  /** Mapped segments that changed since the profile's last record. */
  readonly changedSegments: readonly string[];
  /** The profile was erased, and the stream may have to be told. */
  readonly erased: boolean;
  /** Objectives of which one must be granted; empty: consent does not matter. */
  readonly objectives: readonly string[];
  /** Where consent matters: the stream knows the profile, or may. */
  readonly told: boolean;
}

/**
 * `send`: the profile is in a mapped segment now, or one of those it has just left is mapped (the record that says so).
 * `withdraw`: it consents no more and the stream knows it: one record takes it back. `withheld`: it does not consent, and the stream
 * never heard of it. `erase`: it is gone, and the stream must hear of that. `not-eligible`: it is in no mapped segment, and the stream
 * was told before. `gone`: there is no such profile any more, and nothing to tell.
 */
export function decideRecord(state: ProfileState | undefined, question: RecordQuestion): StreamDecision {
  const { mappedSegments, changedSegments, objectives, told } = question;
  const consentMatters = objectives.length > 0;
  if (state === undefined) {
    if (!question.erased) return 'gone';
    return (consentMatters ? told : changedSegments.length > 0) ? 'erase' : 'gone';
  }
  if (consentMatters && !objectives.some((objective) => state.consents.includes(objective)))
    return told ? 'withdraw' : 'withheld';
  const eligible = state.memberships.some(
    ({ segmentId, status }) =>
      mappedSegments.has(segmentId) && (status === 'realized' || changedSegments.includes(segmentId)),
  );
  return eligible ? 'send' : 'not-eligible';
}

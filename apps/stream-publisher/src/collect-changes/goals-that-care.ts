import { reason } from '../storage/reasons.js';

/** What a goal wants to hear of. */
export interface GoalTriggers {
  readonly propertyIds: ReadonlySet<number>;
  readonly segmentIds: ReadonlySet<string>;
  /** A property overwritten with the value it had does not count. */
  readonly suppressSameValue: boolean;
  readonly readsConsent: boolean;
}

/** What one commit did to a profile. */
export interface ChangeMarks {
  /** Property ids: written, whatever the value; really changed. */
  readonly written: readonly number[];
  readonly changed: readonly number[];
  /** Segments entered or left. */
  readonly segments: readonly string[];
  readonly identities: boolean;
  readonly consent: boolean;
  readonly erased: boolean;
}

export interface Care {
  /** Bits of `reason`; 0: the goal does not care. */
  readonly reasons: number;
  /** Mapped segments that changed. */
  readonly segments: readonly string[];
}

const noSegments: readonly string[] = [];

/**
 * Whether a goal cares for a change: a mapped segment changed, an identity came or went, a mapped property was written (changed, for
 * goals that suppress same-value writes), or consent changed and the goal reads consent; and for every erasure. Whether the profile is
 * eligible is decided when it is sent, by its state then.
 */
export function careOf(goal: GoalTriggers, marks: ChangeMarks): Care {
  const mapped = marks.segments.length === 0 ? noSegments : marks.segments.filter((id) => goal.segmentIds.has(id));
  let reasons = 0;
  if (marks.erased) reasons |= reason.erasure;
  else {
    if (mapped.length > 0) reasons |= reason.segment;
    if (marks.identities) reasons |= reason.identity;
  }
  const isMapped = (propertyId: number): boolean => goal.propertyIds.has(propertyId);
  if (marks.changed.some(isMapped) || (!goal.suppressSameValue && marks.written.some(isMapped)))
    reasons |= reason.attribute;
  if (marks.consent && goal.readsConsent) reasons |= reason.consent;
  return { reasons, segments: mapped };
}

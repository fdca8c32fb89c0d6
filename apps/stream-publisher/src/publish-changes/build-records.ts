import type { StreamDecision } from '@millrace/domain';
import { partitionKeyOf, recordBytes, type StreamRecord } from '@millrace/event-stream';
import { decideRecord } from '../build-record/decide-record.js';
import { erasedState } from '../build-record/erased-profile.js';
import { takenBack, type ProfileState } from '../build-record/record-template.js';
import type { DueDelivery, FailedDelivery } from '../storage/deliveries.js';
import { reasonNames } from '../storage/reasons.js';
import type { SendingGoal } from './sending-goal.js';

export interface BuiltRecord<Of = DueDelivery> extends StreamRecord {
  readonly delivery: Of;
  /** Data and partition key together, as the service counts them. */
  readonly bytes: number;
  /** `send` shows the profile as it is; the others take it back. */
  readonly kind: RecordKind;
  /** Once it is acknowledged the receiver has no profile of that id in a mapped segment any more. */
  readonly leaves: boolean;
}

type RecordKind = 'send' | 'withdraw' | 'erase';

interface BuiltRecords {
  readonly records: readonly BuiltRecord[];
  /** Nothing is owed: the profile is in no mapped segment, does not consent, or is gone. */
  readonly settled: readonly DueDelivery[];
  /** How many of those were withheld for want of consent. */
  readonly withheld: number;
  /** Can never be sent as they are. */
  readonly unsendable: readonly FailedDelivery[];
}

type RecordingGoal = Pick<SendingGoal, 'goal' | 'mappedSegments' | 'consentObjectives' | 'template' | 'partitionKey'>;
type Delivery = Pick<DueDelivery, 'profileId' | 'seq' | 'segments' | 'reasons' | 'changedAtMs' | 'erased'>;

/** Turns what is due into records of the profiles' present state. `told`: profiles the stream knows, where consent matters. */
export function buildRecords(
  goal: RecordingGoal,
  due: readonly DueDelivery[],
  states: ReadonlyMap<string, ProfileState>,
  told: ReadonlySet<string>,
): BuiltRecords {
  const records: BuiltRecord[] = [];
  const settled: DueDelivery[] = [];
  const unsendable: FailedDelivery[] = [];
  let withheld = 0;
  for (const delivery of due) {
    const { profileId } = delivery;
    let rendered: ReturnType<typeof renderDelivery<DueDelivery>>;
    try {
      rendered = renderDelivery(goal, delivery, states.get(profileId), told.has(profileId));
    } catch (error) {
      // The others must not wait for it.
      unsendable.push(notBuilt(delivery, error));
      continue;
    }
    const { decision, record } = rendered;
    if (decision === 'withheld') withheld += 1;
    if (record === undefined) settled.push(delivery);
    else if (record.bytes > goal.goal.maxRecordBytes)
      unsendable.push(tooLarge(delivery, record.bytes, goal.goal.maxRecordBytes));
    else records.push(record);
  }
  return { records, settled, withheld, unsendable };
}

/** What becomes of one delivery: the decision, and its record where there is one. */
export function renderDelivery<Of extends Delivery>(
  goal: RecordingGoal,
  delivery: Of,
  present: ProfileState | undefined,
  told: boolean,
): { readonly decision: StreamDecision; readonly record: BuiltRecord<Of> | undefined } {
  const decision = decideRecord(present, {
    mappedSegments: goal.mappedSegments,
    changedSegments: delivery.segments,
    erased: delivery.erased !== null,
    objectives: goal.consentObjectives,
    told,
  });
  if (decision !== 'send' && decision !== 'withdraw' && decision !== 'erase') return { decision, record: undefined };
  const state =
    decision === 'send'
      ? present
      : (present ?? (delivery.erased === null ? undefined : erasedState(delivery.profileId, delivery.erased)));
  if (state === undefined) return { decision: 'gone', record: undefined };
  const shown = decision === 'send' ? state : takenBack(state, delivery.changedAtMs);
  const text = goal.template.render(shown, {
    eventId: `${delivery.profileId}:${state.version}:${delivery.seq}`,
    reasons: reasonNames(delivery.reasons),
    occurredAtMs: delivery.changedAtMs,
    erased: decision === 'erase',
  });
  const data = Buffer.from(text);
  const partitionKey = partitionKeyOf(goal.partitionKey(state));
  const leaves = !shown.memberships.some(
    ({ segmentId, status }) => status === 'realized' && goal.mappedSegments.has(segmentId),
  );
  return {
    decision,
    record: { data, partitionKey, bytes: recordBytes({ data, partitionKey }), kind: decision, leaves, delivery },
  };
}

/** Without the error's own words, which may quote the profile. */
function notBuilt({ goalId, profileId, seq }: DueDelivery, error: unknown): FailedDelivery {
  const kind = error instanceof Error ? error.name : typeof error;
  const message = `the record could not be built (${kind}): an error of this service; replay it after an update`;
  return { goalId, profileId, seq, code: 'record-not-built', message, retryInMs: undefined };
}

function tooLarge({ goalId, profileId, seq }: DueDelivery, bytes: number, limit: number): FailedDelivery {
  return {
    goalId,
    profileId,
    seq,
    code: 'record-too-large',
    message: `the record has ${bytes} bytes, the goal allows ${limit}: map fewer properties, or raise maxRecordBytes if the stream takes larger records`,
    retryInMs: undefined,
  };
}

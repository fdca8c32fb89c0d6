import { partitionKeyOf, recordBytes, type StreamRecord } from '@millrace/event-stream';
import { decideRecord } from '../build-record/decide-record.js';
import type { ProfileState } from '../build-record/record-template.js';
import type { DeliveryKey, DueDelivery, FailedDelivery } from '../storage/deliveries.js';
import { reasonNames } from '../storage/reasons.js';
import type { SendingGoal } from './sending-goal.js';

export interface BuiltRecord extends StreamRecord {
  readonly delivery: DueDelivery;
  /** Data and partition key together, as the service counts them. */
  readonly bytes: number;
}

interface BuiltRecords {
  readonly records: readonly BuiltRecord[];
  /** Nothing is owed: the profile is in no mapped segment, or is gone. */
  readonly settled: readonly DeliveryKey[];
  /** Can never be sent as they are. */
  readonly unsendable: readonly FailedDelivery[];
}

/** Turns what is due into records of the profiles' present state. */
export function buildRecords(
  goal: SendingGoal,
  due: readonly DueDelivery[],
  states: ReadonlyMap<string, ProfileState>,
): BuiltRecords {
  const records: BuiltRecord[] = [];
  const settled: DeliveryKey[] = [];
  const unsendable: FailedDelivery[] = [];
  for (const delivery of due) {
    const state = states.get(delivery.profileId);
    if (state === undefined || decideRecord(state, goal.mappedSegments, delivery.segments) !== 'send') {
      settled.push(delivery);
      continue;
    }
    const text = goal.template.render(state, {
      eventId: `${delivery.profileId}:${state.version}:${delivery.seq}`,
      reasons: reasonNames(delivery.reasons),
      occurredAtMs: delivery.changedAtMs,
    });
    const data = Buffer.from(text);
    const partitionKey = partitionKeyOf(goal.partitionKey(state));
    const bytes = recordBytes({ data, partitionKey });
    if (bytes > goal.goal.maxRecordBytes) unsendable.push(tooLarge(delivery, bytes, goal.goal.maxRecordBytes));
    else records.push({ data, partitionKey, delivery, bytes });
  }
  return { records, settled, unsendable };
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

import { InputError } from '@millrace/domain';
import { splitBatches, type PutResult } from '@millrace/event-stream';
import type { FailedDelivery } from '../storage/deliveries.js';
import type { BuiltRecord } from './build-records.js';
import { retryDelayMs } from './retry-delay.js';
import type { SendingGoal } from './sending-goal.js';

export interface SendOptions {
  /** How long the stream may take to answer. */
  readonly timeoutMs: number;
  /** Whether the lanes of these records stay ours for as long as a request may take. Asked right before each request. */
  readonly mayStart: (records: readonly BuiltRecord[]) => boolean;
  readonly random?: () => number;
}

export interface SendOutcome {
  readonly acknowledged: readonly BuiltRecord[];
  readonly failures: readonly FailedDelivery[];
  /** Of the failures, those the stream asked to slow down for. */
  readonly throttled: number;
  /** A request failed as a whole: whether anything of it was accepted is unknown. Its records are still due. */
  readonly fault: Error | undefined;
}

// What the stream says to a single entry when its shard takes no more this second.
const throttleCode = 'ProvisionedThroughputExceededException';
// What the stream client says of a record that it did not even send.
const hopelessCode = 'record-too-large';

/**
 * Sends the records, each profile's once, in as many requests as the limits ask for, one after another. Records not mentioned in
 * the outcome were not tried, or nobody knows what became of them: both are still due.
 */
export async function sendRecords(goal: SendingGoal, records: readonly BuiltRecord[], options: SendOptions): Promise<SendOutcome> {
  const acknowledged: BuiltRecord[] = [];
  const failures: FailedDelivery[] = [];
  let throttled = 0;
  let fault: Error | undefined;
  for (const request of splitBatches(records)) {
    if (!options.mayStart(request)) break;
    let results: readonly PutResult[];
    try {
      results = await goal.stream.put(goal.goal.streamName, request, { timeoutMs: options.timeoutMs });
    } catch (error) {
      const culprit = refusedRecord(error, request);
      if (culprit === undefined) {
        fault = error instanceof Error ? error : new Error('the stream client threw something that is no error');
        break;
      }
      failures.push(failed(goal, culprit, { code: culprit.error.code, message: culprit.error.message }, options.random));
      continue;
    }
    request.forEach((record, index) => {
      const result = results[index];
      if (result?.ok === true) acknowledged.push(record);
      else {
        const problem = result ?? { code: 'no-result', message: 'the stream did not answer for this record' };
        if (problem.code === throttleCode) throttled += 1;
        failures.push(failed(goal, record, problem, options.random));
      }
    });
  }
  return { acknowledged, failures, throttled, fault };
}

/**
 * The one record that made its request be refused. Only a request of one record proves that: `GoalFlow` halves refused requests
 * until it is so, and the others pass meanwhile. What concerns the whole goal (its key, its stream) is no record's fault.
 */
function refusedRecord(error: unknown, request: readonly BuiltRecord[]): (BuiltRecord & { readonly error: InputError }) | undefined {
  const [record, ...others] = request;
  if (!(error instanceof InputError) || record === undefined || others.length > 0) return undefined;
  return error.code === 'event-stream-refused' ? { ...record, error } : undefined;
}

function failed(
  goal: SendingGoal,
  { delivery }: BuiltRecord,
  problem: { readonly code: string; readonly message: string },
  random?: () => number,
): FailedDelivery {
  const failures = delivery.attempts + 1;
  return {
    goalId: delivery.goalId,
    profileId: delivery.profileId,
    seq: delivery.seq,
    code: problem.code,
    message: problem.message,
    retryInMs: failures > goal.goal.retries || problem.code === hopelessCode ? undefined : retryDelayMs(failures, random),
  };
}

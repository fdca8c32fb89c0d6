import { InputError } from '@millrace/domain';
import { aggregatedPutLimits, splitBatches, type PutResult } from '@millrace/event-stream';
import type { FailedDelivery } from '../storage/deliveries.js';
import type { BuiltRecord } from './build-records.js';
import { retryDelayMs } from './retry-delay.js';
import type { SendingGoal } from './sending-goal.js';

interface SendOptions {
  /** How long the stream may take to answer. */
  readonly timeoutMs: number;
  /** Whether the lanes of these records stay ours for as long as a request may take. Asked right before each request. */
  readonly mayStart: () => boolean;
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
const refusalsToDoubt = 3;

/**
 * Sends the records, each profile's once, in as many requests as the limits ask for, one after another. Records not mentioned in
 * the outcome were not tried, or nobody knows what became of them: both are still due.
 *
 * A request that is refused for what is in it is cut in half until the record is found that made it so; the others pass. But when
 * one record after another is refused and none accepted, it is not the records' fault.
 */
export async function sendRecords(
  goal: SendingGoal,
  records: readonly BuiltRecord[],
  options: SendOptions,
): Promise<SendOutcome> {
  const acknowledged: BuiltRecord[] = [];
  const failures: FailedDelivery[] = [];
  const refused: FailedDelivery[] = [];
  let throttled = 0;
  const requests: (readonly BuiltRecord[])[] = splitBatches(
    records,
    goal.goal.aggregation === undefined ? {} : aggregatedPutLimits,
  );
  for (let request = requests.shift(); request !== undefined && options.mayStart(); request = requests.shift()) {
    let results: readonly PutResult[];
    try {
      results = await goal.stream.put(goal.goal.streamName, request, { timeoutMs: options.timeoutMs });
    } catch (error) {
      const [record, ...others] = request;
      if (!isRefusal(error) || record === undefined)
        return { acknowledged, failures, throttled, fault: asError(error) };
      if (others.length > 0) {
        const middle = Math.ceil(request.length / 2);
        requests.unshift(request.slice(0, middle), request.slice(middle));
        continue;
      }
      refused.push(failed(goal, record, error, options.random));
      if (refused.length === refusalsToDoubt && acknowledged.length === 0)
        return { acknowledged, failures, throttled, fault: error };
      continue;
    }
    request.forEach((record, index) => {
      const result = results[index] ?? {
        ok: false,
        code: 'no-result',
        message: 'the stream did not answer for this record',
      };
      if (result.ok) {
        acknowledged.push(record);
        return;
      }
      if (result.code === throttleCode) throttled += 1;
      failures.push(failed(goal, record, result, options.random));
    });
  }
  return { acknowledged, failures: [...failures, ...refused], throttled, fault: undefined };
}

/** The service understood the request and will not take it as it is. Other input errors concern the goal: its key, its stream. */
function isRefusal(error: unknown): error is InputError {
  return error instanceof InputError && error.code === 'event-stream-refused';
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('the stream client threw something that is no error');
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
    retryInMs:
      failures > goal.goal.retries || problem.code === hopelessCode ? undefined : retryDelayMs(failures, random),
  };
}

import { setTimeout as sleep } from 'node:timers/promises';
import { classifyAwsFault, isRetryable } from './fault.js';

export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly attempts: number;
  /** The pause after the first failure; it doubles from there, and starts five times as long after "slow down". */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

export const defaultRetryPolicy: RetryPolicy = { attempts: 6, firstDelayMs: 200, maxDelayMs: 10_000 };

/**
 * Runs `action` until it succeeds, fails for good or has used up its attempts; throws the last error as it came.
 * Only for what may be done twice. An aborted `signal` ends the pauses.
 */
export async function withRetries<T>(action: () => Promise<T>, policy: RetryPolicy, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      const fault = classifyAwsFault(error);
      if (attempt >= policy.attempts || !isRetryable(fault.kind) || signal?.aborted === true) throw error;
      await pause(backoffMs(policy, attempt, fault.throttled), signal, error);
    }
  }
}

/** Half of the exponential delay, and up to as much again by chance, so that clients that failed together part ways. */
export function backoffMs(policy: RetryPolicy, attempt: number, throttled: boolean, random = Math.random): number {
  const first = throttled ? policy.firstDelayMs * 5 : policy.firstDelayMs;
  return Math.min(policy.maxDelayMs, first * 2 ** (attempt - 1)) * (0.5 + random() / 2);
}

async function pause(delayMs: number, signal: AbortSignal | undefined, failure: unknown): Promise<void> {
  try {
    await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
  } catch {
    // Aborted: what failed before matters more than that the wait was cut short.
    throw failure;
  }
}

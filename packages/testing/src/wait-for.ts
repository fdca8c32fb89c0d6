import { setTimeout as delay } from 'node:timers/promises';

/**
 * Polls until `condition` gives something other than undefined, null or false, and resolves with it.
 * Rejects after `timeoutMs`, with the condition's last error as cause if it threw.
 */
export async function waitFor<T>(
  condition: () => Promise<T> | T,
  timeoutMs = 60_000,
  description = 'the condition',
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = Date.now() + timeoutMs;
  let pauseMs = 5;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      lastError = undefined;
      if (value !== undefined && value !== null && value !== false)
        return value as Exclude<T, undefined | null | false>;
    } catch (error) {
      lastError = error;
    }
    if (Date.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain for ${description}`, { cause: lastError });
    await delay(pauseMs);
    pauseMs = Math.min(pauseMs * 1.5, 200);
  }
}

const firstDelayMs = 400;
const maxDelayMs = 60_000;

/** Before the next try of something that has failed `failures` times (1 or more): doubles from 400 ms to a minute, give or take half. */
export function retryDelayMs(failures: number, random: () => number = Math.random): number {
  const delay = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(20, Math.max(0, failures - 1)));
  return Math.round(delay * (0.5 + random()));
}

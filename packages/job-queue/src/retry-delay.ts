/** Milliseconds before the next attempt: doubles from one second to one minute, with a quarter of jitter. `attempts` counts the failed ones. */
export function retryDelayMs(attempts: number, random: () => number = Math.random): number {
  const base = Math.min(60_000, 1000 * 2 ** Math.max(0, attempts - 1));
  return Math.round(base * (0.75 + 0.5 * random()));
}

import { retryDelayMs } from './retry-delay.js';

describe('retryDelayMs', () => {
  it('doubles from one second up to one minute', () => {
    const middle = (): number => 0.5;
    expect([1, 2, 3, 6, 7, 30].map((attempts) => retryDelayMs(attempts, middle))).toEqual([
      1000, 2000, 4000, 32_000, 60_000, 60_000,
    ]);
  });

  it('jitters by a quarter either way', () => {
    expect(retryDelayMs(1, () => 0)).toBe(750);
    expect(retryDelayMs(1, () => 1)).toBe(1250);
  });
});

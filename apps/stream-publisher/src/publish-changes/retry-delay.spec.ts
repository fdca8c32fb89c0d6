import { retryDelayMs } from './retry-delay.js';

describe('retryDelayMs', () => {
  it('doubles with each failure', () => {
    const middle = (): number => 0.5;
    expect([1, 2, 3, 4].map((failures) => retryDelayMs(failures, middle))).toEqual([400, 800, 1600, 3200]);
  });

  it('never exceeds a minute and a half, however often something failed', () => {
    expect(retryDelayMs(1000, () => 1)).toBe(90_000);
  });

  it('spreads those that failed together', () => {
    expect(retryDelayMs(1, () => 0)).toBe(200);
    expect(retryDelayMs(1, () => 1)).toBe(600);
  });
});

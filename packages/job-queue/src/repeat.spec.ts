import type { Log } from './log.js';
import { repeat } from './repeat.js';

const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

describe('repeat', () => {
  it('never runs twice at once, and once more for any number of calls during a run', async () => {
    const gates = [gate(), gate()];
    let runs = 0;
    let current = 0;
    let most = 0;
    const repeating = repeat({ name: 'test', intervalMs: 1_000_000, log: silent }, async () => {
      current += 1;
      most = Math.max(most, current);
      await gates[runs++]?.passed;
      current -= 1;
    });
    const calls = [repeating.now(), repeating.now(), repeating.now(), repeating.now()];
    gates[0]?.open();
    await calls[0];
    gates[1]?.open();
    await Promise.all(calls);
    await repeating.stop();
    expect([runs, most]).toEqual([2, 1]);
  });

  it('runs again after the interval, also when a run failed', async () => {
    let runs = 0;
    const third = gate();
    const warnings: string[] = [];
    const repeating = repeat(
      { name: 'test', intervalMs: 1, log: { ...silent, warn: (_fields, message) => void warnings.push(message) } },
      async () => {
        runs += 1;
        if (runs === 1) throw new Error('once');
        if (runs === 3) third.open();
      },
    );
    void repeating.now();
    await third.passed;
    await repeating.stop();
    expect(warnings).toEqual(['test failed: tried again in 1 ms']);
  });

  it('waits on stop for the run under way and begins no other', async () => {
    const first = gate();
    let runs = 0;
    const repeating = repeat({ name: 'test', intervalMs: 0, log: silent }, async () => {
      runs += 1;
      await first.passed;
    });
    void repeating.now();
    const stopped = repeating.stop();
    first.open();
    await stopped;
    await repeating.now();
    expect(runs).toBe(1);
  });
});

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

  it('runs again at once while there is more', async () => {
    let runs = 0;
    const repeating = repeat({ name: 'test', intervalMs: 1_000_000, log: silent }, async () => (runs += 1) < 3);
    await repeating.now();
    expect(runs).toBe(3);
    await repeating.stop();
  });

  it('stops after the run under way though there is more', async () => {
    const first = gate();
    let runs = 0;
    const repeating = repeat({ name: 'test', intervalMs: 0, log: silent }, async () => {
      runs += 1;
      await first.passed;
      return true;
    });
    void repeating.now();
    const stopped = repeating.stop();
    first.open();
    await stopped;
    expect(runs).toBe(1);
  });

  it('keeps runs apart, and one run answers all that was asked in between', async () => {
    const startedAt: number[] = [];
    const endedAt: number[] = [];
    const repeating = repeat({ name: 'test', intervalMs: 1_000_000, minGapMs: 50, log: silent }, async () => {
      startedAt.push(performance.now());
      endedAt.push(performance.now());
    });
    await repeating.now();
    await Promise.all([repeating.now(), repeating.now(), repeating.now()]);
    await repeating.stop();
    expect(startedAt).toHaveLength(2);
    // Timers may fire a little early.
    expect(startedAt[1]! - endedAt[0]!).toBeGreaterThan(48);
  });

  it('stops at once, however far runs are kept apart', async () => {
    let runs = 0;
    const repeating = repeat(
      { name: 'test', intervalMs: 1_000_000, minGapMs: 1_000_000, log: silent },
      async () => void (runs += 1),
    );
    await repeating.now();
    const asked = repeating.now();
    await repeating.stop();
    await asked;
    expect(runs).toBe(1);
  });

  it('tells of errors where it is asked to', async () => {
    const told: unknown[] = [];
    const error = new Error('no');
    const repeating = repeat(
      { name: 'test', intervalMs: 1_000_000, log: silent, onError: (one) => told.push(one) },
      async () => {
        throw error;
      },
    );
    await repeating.now();
    await repeating.stop();
    expect(told).toEqual([error]);
  });
});

import { Repeating } from './repeating.js';

const hourMs = 3_600_000;

function onError(error: unknown): void {
  throw error;
}

describe('Repeating', () => {
  it('stops at once, however long its runs lie apart', async () => {
    let runs = 0;
    let ran: () => void = () => undefined;
    const first = new Promise<void>((resolve) => (ran = resolve));
    const repeating = new Repeating({ minMs: hourMs, maxMs: hourMs, onError }, async () => {
      runs += 1;
      ran();
    });
    repeating.start();
    await first;
    await repeating.stop();
    expect(runs).toBe(1);
  });

  it('lets the run under way end before it has stopped', async () => {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let ended = false;
    const repeating = new Repeating({ minMs: 0, maxMs: hourMs, onError }, async () => {
      await released;
      ended = true;
    });
    repeating.start();
    const stopped = repeating.stop();
    release();
    await stopped;
    expect(ended).toBe(true);
  });

  it('runs again when it is woken', async () => {
    let runs = 0;
    let twice: () => void = () => undefined;
    const ranTwice = new Promise<void>((resolve) => (twice = resolve));
    const repeating = new Repeating({ minMs: 0, maxMs: hourMs, onError }, async () => {
      runs += 1;
      if (runs === 2) twice();
    });
    repeating.start();
    repeating.wake();
    await ranTwice;
    await repeating.stop();
    expect(runs).toBe(2);
  });
});

import type { Log } from '@millrace/job-queue';
import { loop } from './loop.js';

const warnings: string[] = [];
const log: Log = { info: () => undefined, warn: (_, message) => void warnings.push(message), error: () => undefined };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('loop', () => {
  it('goes on while there is more, then pauses', async () => {
    let steps = 0;
    const going = loop({ name: 'counting', pauseMs: 60_000, log }, async () => (steps += 1) < 3);
    await turn();
    expect(steps).toBe(3);
    await going.stop();
  });

  it('looks once more when asked during a step', async () => {
    let steps = 0;
    let finishStep: () => void = () => undefined;
    const going = loop({ name: 'waiting', pauseMs: 60_000, log }, async () => {
      steps += 1;
      await new Promise<void>((resolve) => (finishStep = resolve));
      return false;
    });
    going.now();
    going.now();
    finishStep();
    await turn();
    expect(steps).toBe(2);
    finishStep();
    await going.stop();
    expect(steps).toBe(2);
  });

  it('tells of a failed step and tries again after the pause', async () => {
    let steps = 0;
    let third: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (third = resolve));
    const going = loop({ name: 'failing', pauseMs: 1, log }, async () => {
      steps += 1;
      if (steps === 3) third();
      throw new Error('no');
    });
    await reached;
    await going.stop();
    expect(warnings).toContain('failing failed: tried again in 1 ms');
  });

  it('stops after the step under way, and does not begin again', async () => {
    let steps = 0;
    const going = loop({ name: 'stopping', pauseMs: 1, log }, async () => {
      steps += 1;
      await turn();
      return true;
    });
    await going.stop();
    going.now();
    await turn();
    expect(steps).toBe(1);
  });
});

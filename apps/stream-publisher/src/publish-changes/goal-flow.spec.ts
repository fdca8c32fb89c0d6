import { GoalFlow } from './goal-flow.js';

const middle = (): number => 0.5;

describe('GoalFlow', () => {
  it('asks for as many records as one request holds', () => {
    expect(new GoalFlow(500).limit).toBe(500);
  });

  it('halves what it sends when a request fails, and rests longer each time', () => {
    const flow = new GoalFlow(500);
    flow.requestFailed(0, 40, middle);
    expect([flow.limit, flow.readyAtMs]).toEqual([20, 400]);
    flow.requestFailed(1000, 20, middle);
    expect([flow.limit, flow.readyAtMs]).toEqual([10, 1800]);
  });

  it('never rests longer than five seconds', () => {
    const flow = new GoalFlow(500);
    for (let failure = 0; failure < 50; failure += 1) flow.requestFailed(0, 1, () => 1);
    expect(flow.readyAtMs).toBe(5_000);
    expect(flow.limit).toBe(1);
  });

  it('doubles again when requests pass', () => {
    const flow = new GoalFlow(500);
    flow.requestFailed(0, 100, middle);
    flow.requestPassed(50, 50_000);
    flow.requestPassed(100, 100_000);
    expect(flow.limit).toBe(200);
    expect(flow.failedRequests).toBe(0);
  });

  it('asks for fewer large records, so that one request holds them', () => {
    const flow = new GoalFlow(500);
    flow.requestPassed(10, 10 * 1024 * 1024);
    expect(flow.limit).toBe(8);
  });

  it('rests by how many records the stream had no room for', () => {
    const flow = new GoalFlow(500);
    flow.requestThrottled(0, 500, middle);
    expect([flow.limit, flow.readyAtMs]).toEqual([250, 1000]);
    flow.requestThrottled(0, 1, middle);
    expect(flow.readyAtMs).toBe(2);
  });

  it('is not ready while it is busy', () => {
    const flow = new GoalFlow(500);
    flow.busy = true;
    expect(flow.readyAtMs).toBeUndefined();
  });

  it('looks again at the earliest time asked for', () => {
    const flow = new GoalFlow(500);
    flow.lookAtMs = 5000;
    flow.lookBy(3000);
    flow.lookBy(4000);
    expect(flow.readyAtMs).toBe(3000);
  });

  describe('is clear for changes', () => {
    const looked = (): GoalFlow => {
      const flow = new GoalFlow(500);
      flow.lookAtMs = 10_000;
      return flow;
    };

    it('once it was looked at and owed nothing', () => {
      expect(new GoalFlow(500).isClear(0)).toBe(false);
      expect(looked().isClear(0)).toBe(true);
      expect(looked().isClear(10_000)).toBe(false);
    });

    it('not while it is busy, rests, sends less than it might or sends large records', () => {
      const [busy, throttled, failed, large] = [looked(), looked(), looked(), looked()];
      busy.busy = true;
      throttled.requestThrottled(0, 100, middle);
      failed.requestFailed(0, 500, middle);
      large.requestPassed(500, 500 * 100_000);
      for (const flow of [busy, throttled, failed, large]) expect(flow.isClear(0)).toBe(false);
    });

    it('not for a while after it was late twice in a row, longer each time', () => {
      const flow = looked();
      flow.lookAtMs = Infinity;
      flow.answersLate(0);
      expect(flow.isClear(0)).toBe(true);
      flow.answersLate(0);
      expect([flow.isClear(999), flow.isClear(1000)]).toEqual([false, true]);
      flow.answersLate(1000);
      expect([flow.isClear(2999), flow.isClear(3000)]).toEqual([false, true]);
      flow.answeredInTime();
      flow.answersLate(3000);
      expect(flow.isClear(3000)).toBe(true);
    });
  });
});

import type { RunEventBody } from '@millrace/domain';
import { advanceRun, maxNotes, type RunGoalProgress, type RunProgress, type ToldEvent } from './advance-run.js';

const at = new Date('2026-03-01T10:00:00Z');
const goal = (goalId: string, state: RunGoalProgress['state']): RunGoalProgress => ({
  goalId,
  state,
  counts: {},
  progress: null,
  notes: [],
  notesOmitted: 0,
  error: null,
  lastEventId: 0n,
  startedAt: null,
  finishedAt: null,
});
const run = (...goals: RunGoalProgress[]): RunProgress => ({
  state: 'queued',
  cancelRequested: false,
  startedAt: null,
  finishedAt: null,
  goals,
});
const told = (id: number, goalId: string, body: RunEventBody): ToldEvent => ({ id: BigInt(id), goalId, body, at });
const progressed = (done: number): RunEventBody => ({
  kind: 'goal-progress',
  progress: { phase: 'apply', done, unit: 'rows' },
  counts: { rowsRead: done },
});
const finished = (outcome: 'succeeded' | 'failed' | 'cancelled', counts = { rowsRead: 9 }): RunEventBody => ({
  kind: 'goal-finished',
  outcome,
  counts,
  ...(outcome === 'failed' ? { error: { code: 'bucket-not-found', message: 'no bucket' } } : {}),
});
const states = (progress: RunProgress): string[] => progress.goals.map(({ state }) => state);

describe('advanceRun', () => {
  it('starts with the first sign of its goal', () => {
    const after = advanceRun(run(goal('a', 'queued')), told(1, 'a', { kind: 'goal-started' }));
    expect(after).toMatchObject({ state: 'running', startedAt: at, goals: [{ state: 'running', startedAt: at }] });
  });

  it('overwrites totals, and never newer ones by older ones', () => {
    const events = [told(5, 'a', progressed(50)), told(4, 'a', progressed(40)), told(5, 'a', progressed(50))];
    const after = events.reduce(advanceRun, run(goal('a', 'queued')));
    expect(after.goals[0]).toMatchObject({ counts: { rowsRead: 50 }, progress: { done: 50 }, lastEventId: 5n });
  });

  it('queues the next goal when one succeeded', () => {
    const after = advanceRun(
      run(goal('a', 'running'), goal('b', 'waiting'), goal('c', 'waiting')),
      told(1, 'a', finished('succeeded')),
    );
    expect(states(after)).toEqual(['succeeded', 'queued', 'waiting']);
    expect(after).toMatchObject({ state: 'running', finishedAt: null });
  });

  it('succeeds with its last goal', () => {
    const after = advanceRun(run(goal('a', 'succeeded'), goal('b', 'running')), told(1, 'b', finished('succeeded')));
    expect(after).toMatchObject({ state: 'succeeded', finishedAt: at });
  });

  it('ends with a goal that failed, and says which did not run', () => {
    const after = advanceRun(run(goal('a', 'running'), goal('b', 'waiting')), told(1, 'a', finished('failed')));
    expect(after.state).toBe('failed');
    expect(states(after)).toEqual(['failed', 'not-run']);
    expect(after.goals[0]?.error?.code).toBe('bucket-not-found');
  });

  it('is cancelled with its goal', () => {
    const after = advanceRun(run(goal('a', 'running'), goal('b', 'waiting')), told(1, 'a', finished('cancelled')));
    expect(after.state).toBe('cancelled');
    expect(states(after)).toEqual(['cancelled', 'not-run']);
  });

  it('runs nothing more after a cancel that came too late for its goal', () => {
    const asked = { ...run(goal('a', 'running'), goal('b', 'waiting')), cancelRequested: true };
    const after = advanceRun(asked, told(1, 'a', finished('succeeded')));
    expect(after.state).toBe('cancelled');
    expect(states(after)).toEqual(['succeeded', 'not-run']);
  });

  it('succeeds when a cancel came too late for the last goal', () => {
    const asked = { ...run(goal('a', 'running')), cancelRequested: true };
    expect(advanceRun(asked, told(1, 'a', finished('succeeded'))).state).toBe('succeeded');
  });

  it('shows all of the work done when a goal has succeeded, and how far it came when it has not', () => {
    const progress: RunEventBody = {
      kind: 'goal-progress',
      progress: { phase: 'apply', done: 8, total: 10, unit: 'chunks' },
    };
    const after = (outcome: 'succeeded' | 'failed'): unknown =>
      [told(1, 'a', progress), told(2, 'a', finished(outcome))].reduce(advanceRun, run(goal('a', 'queued'))).goals[0]
        ?.progress;
    expect(after('succeeded')).toMatchObject({ done: 10, total: 10 });
    expect(after('failed')).toMatchObject({ done: 8, total: 10 });
  });

  it('ends a goal once', () => {
    const once = advanceRun(run(goal('a', 'running'), goal('b', 'waiting')), told(1, 'a', finished('succeeded')));
    expect(advanceRun(once, told(2, 'a', finished('failed')))).toBe(once);
    expect(advanceRun(once, told(3, 'a', progressed(1)))).toBe(once);
  });

  it('does not listen to goals that were not handed over, nor to strangers', () => {
    const before = run(goal('a', 'running'), goal('b', 'waiting'));
    expect(advanceRun(before, told(1, 'b', finished('succeeded')))).toBe(before);
    expect(advanceRun(before, told(1, 'z', finished('succeeded')))).toBe(before);
  });

  it('keeps the totals when the last word brings none', () => {
    const events = [told(1, 'a', progressed(7)), told(2, 'a', finished('failed', {} as { rowsRead: number }))];
    expect(events.reduce(advanceRun, run(goal('a', 'queued'))).goals[0]?.counts).toEqual({ rowsRead: 7 });
  });

  it('keeps the first notes and counts the others', () => {
    const note: RunEventBody = { kind: 'goal-note', level: 'warn', message: 'odd', at: 'a.csv:3' };
    const events = Array.from({ length: maxNotes + 5 }, (_, index) => told(index + 1, 'a', note));
    const [after] = events.reduce(advanceRun, run(goal('a', 'queued'))).goals;
    expect(after?.notes).toHaveLength(maxNotes);
    expect(after?.notes[0]).toEqual({ level: 'warn', message: 'odd', at: 'a.csv:3', time: at.toISOString() });
    expect(after?.notesOmitted).toBe(5);
  });
});

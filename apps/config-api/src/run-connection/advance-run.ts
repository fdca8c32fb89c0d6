import type { ErrorSummary, Progress, RunEventBody, RunState } from '@millrace/domain';
import { isOver, type RunGoalState, type RunNote } from './run-views.js';

/** What run events change of a goal in a run. */
export interface RunGoalProgress {
  readonly goalId: string;
  readonly state: RunGoalState;
  readonly counts: Readonly<Record<string, unknown>>;
  readonly progress: Progress | null;
  readonly notes: readonly RunNote[];
  readonly notesOmitted: number;
  readonly error: ErrorSummary | null;
  /** The newest event whose totals stand here. */
  readonly lastEventId: bigint;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface RunProgress {
  readonly state: RunState;
  readonly cancelRequested: boolean;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** In the order they run. */
  readonly goals: readonly RunGoalProgress[];
}

export interface ToldEvent {
  readonly id: bigint;
  readonly goalId: string;
  readonly body: RunEventBody;
  readonly at: Date;
}

/** Notes kept per goal. */
export const maxNotes = 200;

/**
 * The run after an event. Events may come twice, late or for goals that are over: totals overwrite, newer ones are not overwritten
 * by older ones, and a goal ends once. A goal that succeeded queues the next; one that failed ends the run, because what
 * follows would build on data that is not there: an export after a failed import would deliver, and remember as delivered, half a state.
 */
export function advanceRun(run: RunProgress, event: ToldEvent): RunProgress {
  const goal = run.goals.find(({ goalId }) => goalId === event.goalId);
  if (event.body.kind === 'goal-recounted') return recount(run, goal, event.id, event.body.counts);
  if (isOver(run.state) || goal === undefined || goal.state === 'waiting' || isOver(goal.state)) return run;
  const after = advanceGoal(goal, event);
  const goals = run.goals.map((other) => (other === goal ? after : other));
  const begun: RunProgress = { ...run, goals, state: 'running', startedAt: run.startedAt ?? event.at };
  return isOver(after.state) ? afterGoal(begun, after.state, event.at) : begun;
}

/** The one thing that still changes a goal after its end. */
function recount(
  run: RunProgress,
  goal: RunGoalProgress | undefined,
  id: bigint,
  counts: RunGoalProgress['counts'],
): RunProgress {
  if (goal === undefined || !isOver(goal.state) || id <= goal.lastEventId) return run;
  return {
    ...run,
    goals: run.goals.map((other) => (other === goal ? { ...goal, counts, lastEventId: id } : other)),
  };
}

function advanceGoal(goal: RunGoalProgress, { id, body, at }: ToldEvent): RunGoalProgress {
  const running: RunGoalProgress = { ...goal, state: 'running', startedAt: goal.startedAt ?? at };
  switch (body.kind) {
    case 'goal-recounted':
      return goal;
    case 'goal-started':
      return running;
    case 'goal-progress':
      if (id <= goal.lastEventId) return running;
      return { ...running, progress: body.progress, counts: body.counts ?? goal.counts, lastEventId: id };
    case 'goal-note': {
      if (goal.notes.length >= maxNotes) return { ...running, notesOmitted: goal.notesOmitted + 1 };
      const { level, message } = body;
      const note: RunNote = {
        level,
        message,
        ...(body.at === undefined ? {} : { at: body.at }),
        time: at.toISOString(),
      };
      return { ...running, notes: [...goal.notes, note] };
    }
    case 'goal-finished':
      return {
        ...running,
        state: body.outcome,
        progress: body.outcome === 'succeeded' ? completed(goal.progress) : goal.progress,
        counts: Object.keys(body.counts).length === 0 ? goal.counts : body.counts,
        error: body.error ?? null,
        lastEventId: id,
        finishedAt: at,
      };
  }
}

/** Progress is told now and then, and its last step may be left out: what has succeeded is done. */
function completed(progress: Progress | null): Progress | null {
  return progress?.total === undefined ? progress : { ...progress, done: progress.total };
}

function afterGoal(run: RunProgress, outcome: RunGoalState, at: Date): RunProgress {
  const next = run.goals.find(({ state }) => state === 'waiting');
  if (outcome === 'succeeded' && next === undefined) return { ...run, state: 'succeeded', finishedAt: at };
  if (outcome === 'succeeded' && !run.cancelRequested) {
    return { ...run, goals: run.goals.map((goal) => (goal === next ? { ...goal, state: 'queued' } : goal)) };
  }
  return {
    ...run,
    state: outcome === 'failed' ? 'failed' : 'cancelled',
    finishedAt: at,
    goals: run.goals.map((goal) => (goal.state === 'waiting' ? { ...goal, state: 'not-run' } : goal)),
  };
}

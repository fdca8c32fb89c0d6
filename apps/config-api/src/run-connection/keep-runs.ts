import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import type { ErrorSummary, Progress, RunState } from '@millrace/domain';
import { RunEvents, type Log, type RunEvent, type WakeUps } from '@millrace/job-queue';
import { raiseRunAlerts } from '../raise-alerts/raise-run-alerts.js';
import { advanceRun, type RunGoalProgress, type RunProgress } from './advance-run.js';
import { openGoalOfRun, wakeUnits, type OpenedUnit } from './open-goal.js';
import { isOver, type RunGoalState, type RunNote } from './run-views.js';

const eventsAtOnce = 200;

/**
 * Keeps run history by what workers tell, and opens one goal after the other. Events, history and the next goal's unit change in one
 * transaction: killed at any moment, another instance carries on from the last commit.
 */
export class KeepRuns {
  readonly #events: RunEvents;
  readonly #wakeUps: WakeUps;
  readonly #onChange: () => void;

  /** `onChange`: called after commits, for whoever shows runs. */
  constructor(database: Database, wakeUps: WakeUps, onChange: () => void, log: Log) {
    this.#events = new RunEvents(database, (event) =>
      log.error(
        event,
        'an event of a run cannot be read, as if by a newer release: update config-api; it was put aside',
      ),
    );
    this.#wakeUps = wakeUps;
    this.#onChange = onChange;
  }

  /** What an earlier release could not read, this one may. */
  async readAgain(): Promise<void> {
    await this.#events.readAgain();
  }

  /** Handles events until none is left. Several instances may do so side by side. */
  async catchUp(): Promise<void> {
    for (;;) {
      const opened: OpenedUnit[] = [];
      const handled = await this.#events.handle(eventsAtOnce, async (tx, events) => {
        opened.length = 0;
        for (const [runId, told] of byRun(events)) opened.push(...(await applyEvents(tx, runId, told)));
      });
      if (handled === 0) return;
      this.#onChange();
      await wakeUnits(this.#wakeUps, opened);
    }
  }
}

function byRun(events: readonly RunEvent[]): ReadonlyMap<string, readonly RunEvent[]> {
  const runs = new Map<string, RunEvent[]>();
  for (const event of events) runs.set(event.runId, [...(runs.get(event.runId) ?? []), event]);
  // Always in the same order, so that two instances never wait for each other.
  return new Map([...runs].sort(([left], [right]) => (left < right ? -1 : 1)));
}

async function applyEvents(
  tx: Transaction,
  runId: string,
  events: readonly RunEvent[],
): Promise<readonly OpenedUnit[]> {
  const before = await lockRun(tx, runId);
  if (before === undefined) return [];
  const after = events.reduce(
    (run, { id, goalId, body, at }) => advanceRun(run, { id: BigInt(id), goalId, body, at }),
    before,
  );
  if (after === before) return [];
  await saveRun(tx, runId, before, after);
  await raiseRunAlerts(tx, runId, before, after);
  const opened: OpenedUnit[] = [];
  for (const [index, goal] of after.goals.entries()) {
    if (goal.state === 'queued' && before.goals[index]?.state === 'waiting')
      opened.push(await openGoalOfRun(tx, runId, goal.goalId));
  }
  return opened;
}

interface LockedRun {
  readonly state: RunState;
  readonly cancel_requested_at: Date | null;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
}

interface LockedGoal {
  readonly goal_id: string;
  readonly state: RunGoalState;
  readonly counts: string;
  readonly progress: string | null;
  readonly notes: string;
  readonly notes_omitted: number;
  readonly error: string | null;
  readonly last_event_id: string;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
}

async function lockRun(tx: Executor, runId: string): Promise<RunProgress | undefined> {
  const { rows } = await tx.query<LockedRun>(sql`
    SELECT state, cancel_requested_at, started_at, finished_at FROM config.run WHERE id = ${runId} FOR UPDATE`);
  const [run] = rows;
  if (run === undefined) return undefined;
  const goals = await tx.query<LockedGoal>(sql`
    SELECT goal_id, state, counts, progress, notes, notes_omitted, error, last_event_id, started_at, finished_at
    FROM config.run_goal WHERE run_id = ${runId} ORDER BY position`);
  return {
    state: run.state,
    cancelRequested: run.cancel_requested_at !== null,
    startedAt: run.started_at,
    finishedAt: run.finished_at,
    goals: goals.rows.map((goal) => ({
      goalId: goal.goal_id,
      state: goal.state,
      counts: JSON.parse(goal.counts) as Record<string, unknown>,
      progress: goal.progress === null ? null : (JSON.parse(goal.progress) as Progress),
      notes: JSON.parse(goal.notes) as RunNote[],
      notesOmitted: goal.notes_omitted,
      error: goal.error === null ? null : (JSON.parse(goal.error) as ErrorSummary),
      lastEventId: BigInt(goal.last_event_id),
      startedAt: goal.started_at,
      finishedAt: goal.finished_at,
    })),
  };
}

async function saveRun(tx: Executor, runId: string, before: RunProgress, after: RunProgress): Promise<void> {
  await tx.query(sql`
    UPDATE config.run SET state = ${after.state}, revision = revision + 1, started_at = ${after.startedAt}, finished_at = ${after.finishedAt}
    WHERE id = ${runId}`);
  for (const [index, goal] of after.goals.entries()) {
    if (goal !== before.goals[index]) await saveGoal(tx, runId, goal);
  }
  // Snapshots of goals that will never run hold sealed secrets for nothing.
  if (isOver(after.state))
    await tx.query(sql`UPDATE config.run_goal SET snapshot = NULL WHERE run_id = ${runId} AND snapshot IS NOT NULL`);
}

async function saveGoal(tx: Executor, runId: string, goal: RunGoalProgress): Promise<void> {
  await tx.query(sql`
    UPDATE config.run_goal SET state = ${goal.state}, counts = ${JSON.stringify(goal.counts)}::jsonb,
      progress = ${jsonOrNull(goal.progress)}::jsonb, notes = ${JSON.stringify(goal.notes)}::jsonb, notes_omitted = ${goal.notesOmitted},
      error = ${jsonOrNull(goal.error)}::jsonb, last_event_id = ${goal.lastEventId.toString()},
      started_at = ${goal.startedAt}, finished_at = ${goal.finishedAt}
    WHERE run_id = ${runId} AND goal_id = ${goal.goalId}`);
}

function jsonOrNull(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

import { sql, type Executor } from '@millrace/database';
import { InputError, type ErrorSummary, type Progress, type RunState } from '@millrace/domain';
import {
  countsOf,
  type RunGoalState,
  type RunGoalView,
  type RunNote,
  type RunPage,
  type RunQuery,
  type RunView,
} from './run-views.js';

interface RunRecord {
  readonly id: string;
  readonly connection_id: string;
  readonly connection_name: string;
  readonly state: RunState;
  readonly revision: string;
  readonly requested_by: string;
  readonly repeat_sums: boolean;
  readonly dry_run: boolean;
  readonly cancel_requested_at: Date | null;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
}

interface RunGoalRecord {
  readonly run_id: string;
  readonly goal_id: string;
  readonly kind: RunGoalView['kind'];
  readonly name: string;
  readonly state: RunGoalState;
  readonly counts: string;
  readonly progress: string | null;
  readonly notes: string;
  readonly notes_omitted: number;
  readonly error: string | null;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
}

const runColumns = sql`r.id, r.connection_id, r.connection_name, r.state, r.revision, r.requested_by, r.repeat_sums, r.dry_run, r.cancel_requested_at,
  r.created_at, r.started_at, r.finished_at`;

/** Newest first. */
export async function listRuns(executor: Executor, workspaceId: number, query: RunQuery): Promise<RunPage> {
  const { rows } = await executor.query<RunRecord>(sql`
    SELECT ${runColumns} FROM config.run r
    WHERE r.workspace_id = ${workspaceId}
      ${query.connectionId === undefined ? sql.empty : sql`AND r.connection_id = ${query.connectionId}`}
      ${query.state === undefined ? sql.empty : sql`AND r.state = ${query.state}`}
      ${query.before === undefined ? sql.empty : sql`AND r.id < ${query.before}`}
    ORDER BY r.id DESC LIMIT ${query.limit + 1}`);
  const page = rows.slice(0, query.limit);
  const goals = await executor.query<Pick<RunGoalRecord, 'run_id' | 'goal_id' | 'kind' | 'name' | 'state'>>(sql`
    SELECT run_id, goal_id, kind, name, state FROM config.run_goal
    WHERE run_id = ANY(${page.map(({ id }) => id)}::uuid[]) ORDER BY position`);
  const items = page.map((run) => ({
    ...headOf(run),
    goals: goals.rows
      .filter((goal) => goal.run_id === run.id)
      .map(({ goal_id, kind, name, state }) => ({ goalId: goal_id, kind, name, state })),
  }));
  return { items, next: rows.length > query.limit ? (page.at(-1)?.id ?? null) : null };
}

/** @throws InputError `run-not-found`. */
export async function readRun(executor: Executor, workspaceId: number, id: string): Promise<RunView> {
  const [run] = await readRuns(executor, sql`r.id = ${id} AND r.workspace_id = ${workspaceId}`);
  if (run === undefined) throw new InputError('run-not-found', 'there is no such run in this workspace');
  return run;
}

/** Those of the runs that have changed since the revision they are asked with. */
export async function readChangedRuns(
  executor: Executor,
  known: ReadonlyMap<string, number>,
): Promise<readonly RunView[]> {
  return readRuns(
    executor,
    sql`EXISTS (SELECT FROM unnest(${[...known.keys()]}::uuid[], ${[...known.values()]}::bigint[]) AS known (id, revision)
      WHERE known.id = r.id AND known.revision < r.revision)`,
  );
}

async function readRuns(executor: Executor, condition: ReturnType<typeof sql>): Promise<readonly RunView[]> {
  // One statement, so that a run and its goals are of one moment.
  const { rows } = await executor.query<RunRecord & { goals: string }>(sql`
    SELECT ${runColumns}, (
      SELECT coalesce(json_agg(json_build_object(
          'goalId', g.goal_id, 'kind', g.kind, 'name', g.name, 'state', g.state, 'counts', g.counts, 'progress', g.progress,
          'notes', g.notes, 'notesOmitted', g.notes_omitted, 'error', g.error,
          'startedAt', g.started_at, 'finishedAt', g.finished_at) ORDER BY g.position), '[]')
      FROM config.run_goal g WHERE g.run_id = r.id) AS goals
    FROM config.run r WHERE ${condition}`);
  return rows.map((run) => ({
    ...headOf(run),
    revision: Number(run.revision),
    goals: (JSON.parse(run.goals) as GoalDocument[]).map(goalOf),
  }));
}

interface GoalDocument {
  readonly goalId: string;
  readonly kind: RunGoalView['kind'];
  readonly name: string;
  readonly state: RunGoalState;
  readonly counts: Readonly<Record<string, unknown>>;
  readonly progress: Progress | null;
  readonly notes: RunNote[];
  readonly notesOmitted: number;
  readonly error: ErrorSummary | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

function goalOf(goal: GoalDocument): RunGoalView {
  return {
    ...goal,
    counts: countsOf(goal.kind, goal.counts),
    startedAt: isoTime(goal.startedAt),
    finishedAt: isoTime(goal.finishedAt),
  } as RunGoalView;
}

function headOf(run: RunRecord): Omit<RunView, 'revision' | 'goals'> {
  return {
    id: run.id,
    connectionId: run.connection_id,
    connectionName: run.connection_name,
    state: run.state,
    requestedBy: run.requested_by,
    repeatSums: run.repeat_sums,
    dryRun: run.dry_run,
    cancelRequested: run.cancel_requested_at !== null,
    createdAt: run.created_at.toISOString(),
    startedAt: isoTime(run.started_at),
    finishedAt: isoTime(run.finished_at),
  };
}

function isoTime(time: string | Date | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

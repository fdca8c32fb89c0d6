import type { Database } from '@millrace/database';
import { InputError, type GoalEndpoint, type GoalSnapshot, type StreamGoal } from '@millrace/domain';
import { aggregating, type EventStream } from '@millrace/event-stream';
import { loadGoalSnapshot } from '@millrace/job-queue';
import { listGoalsToSend, setGoalFault, type GoalToSend } from '../storage/goals.js';
import { loadRecordCatalogue } from '../storage/record-catalogues.js';
import { groupBy } from './group-by.js';
import type { PublisherEvents } from './publisher.events.js';
import { compileSendingGoal, type SendingGoal } from './sending-goal.js';

/** Opens the stream a goal writes to, its secrets unsealed. InputError when they cannot be. */
export type OpenStream = (
  endpoint: GoalEndpoint,
  context: { readonly workspaceId: number; readonly connectionId: string },
) => EventStream;

interface OpenedGoal {
  readonly goal: StreamGoal;
  readonly stream: EventStream;
}

interface CompiledWorkspace {
  /** Differs whenever a goal was added, edited or removed, or a segment or namespace changed. */
  readonly version: string;
  readonly goals: readonly SendingGoal[];
}

const closeDelayMs = 60_000;

/**
 * The active goals, compiled. All goals of a workspace read profiles by one list of properties, so that a profile due for ten goals is
 * read once.
 */
export class GoalRegistry {
  readonly #database: Database;
  readonly #openStream: OpenStream;
  readonly #events: PublisherEvents;
  readonly #opened = new Map<string, OpenedGoal>();
  #workspaces = new Map<number, CompiledWorkspace>();
  #goals: readonly SendingGoal[] = [];

  constructor(database: Database, openStream: OpenStream, events: PublisherEvents) {
    this.#database = database;
    this.#openStream = openStream;
    this.#events = events;
  }

  /** As of the last refresh. */
  goals(): readonly SendingGoal[] {
    return this.#goals;
  }

  async refresh(): Promise<void> {
    const rows = await listGoalsToSend(this.#database);
    const byWorkspace = groupBy(rows, (row) => row.workspaceId);
    const workspaces = new Map<number, CompiledWorkspace>();
    for (const [workspaceId, goals] of byWorkspace) {
      const version = goals.map((goal) => goal.recordVersion).join('\n');
      const known = this.#workspaces.get(workspaceId);
      workspaces.set(workspaceId, known?.version === version ? known : { version, goals: await this.#compile(goals) });
    }
    this.#workspaces = workspaces;
    this.#goals = [...workspaces.values()].flatMap((workspace) => workspace.goals);
    this.#closeUnused(new Set(rows.map((row) => row.snapshotId)));
  }

  /** Closes every stream. Only when nothing is sent any more. */
  close(): void {
    for (const { stream } of this.#opened.values()) stream.close();
    this.#opened.clear();
  }

  #closeUnused(used: ReadonlySet<string>): void {
    for (const [snapshotId, { stream }] of this.#opened) {
      if (used.has(snapshotId)) continue;
      this.#opened.delete(snapshotId);
      // A request may still be under way.
      setTimeout(() => stream.close(), closeDelayMs).unref();
    }
  }

  async #compile(rows: readonly GoalToSend[]): Promise<readonly SendingGoal[]> {
    const opened: { row: GoalToSend; goal: OpenedGoal }[] = [];
    for (const row of rows) {
      const goal = await this.#open(row);
      if (goal !== undefined) opened.push({ row, goal });
    }
    const properties = [...new Set(opened.flatMap(({ goal }) => goal.goal.properties))];
    const consent = opened.some(({ row }) => row.consentObjectives.length > 0);
    const attributes = { properties, consent, attributeIndex: new Map(properties.map((name, index) => [name, index])) };
    const compiled: SendingGoal[] = [];
    for (const { row, goal } of opened) {
      const catalogue = await loadRecordCatalogue(this.#database, row.workspaceId, row.goalId);
      compiled.push(compileSendingGoal(row, goal.goal, goal.stream, catalogue, attributes));
    }
    return compiled;
  }

  async #open(row: GoalToSend): Promise<OpenedGoal | undefined> {
    const known = this.#opened.get(row.snapshotId);
    if (known !== undefined) return known;
    try {
      const snapshot = await loadGoalSnapshot(this.#database, row.snapshotId);
      const goal = streamGoalOf(snapshot);
      const stream = this.#openStream(snapshot.endpoint, snapshot);
      const opened = { goal, stream: goal.aggregation === undefined ? stream : aggregating(stream, goal.aggregation) };
      this.#opened.set(row.snapshotId, opened);
      return opened;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#events.goalUnusable(row.goalId, error);
      await setGoalFault(this.#database, row.goalId, error);
      return undefined;
    }
  }
}

function streamGoalOf(snapshot: GoalSnapshot): StreamGoal {
  if (snapshot.goal.kind !== 'stream')
    throw new InputError('goal-kind', `goal ${snapshot.goalId} is not a stream goal`);
  return snapshot.goal;
}

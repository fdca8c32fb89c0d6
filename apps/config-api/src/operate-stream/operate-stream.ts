import { sql, type Executor } from '@millrace/database';
import { InputError, type CommandBody } from '@millrace/domain';
import { sendCommand, type WakeUps } from '@millrace/job-queue';
import type { ConfigStorage } from '../storage/config-storage.js';
import type { GoalRow } from '../storage/entities.js';
import { isStreaming } from '../manage-goals/stream-commands.js';

/** What stream-publisher is told about a goal, beside its configuration. */
export type StreamOrder = Extract<
  CommandBody,
  { kind: 'pause-stream' | 'resume-stream' | 'cancel-backfill' | 'replay-dead-letters' }
>;

/** Since when a goal has been late, as alerts judge it; undefined: it is not. */
export async function readLateSince(executor: Executor, goalId: string): Promise<Date | undefined> {
  const { rows } = await executor.query<{ since: Date }>(
    sql`SELECT since FROM config.late_stream WHERE goal_id = ${goalId}`,
  );
  return rows[0]?.since;
}

/** Finds stream goals, and commands stream-publisher: committed here, carried out there within a second or so. */
export class OperateStream {
  readonly #storage: ConfigStorage;
  readonly #executor: Executor;
  readonly #wakeUps: WakeUps;

  constructor(storage: ConfigStorage, executor: Executor, wakeUps: WakeUps) {
    this.#storage = storage;
    this.#executor = executor;
    this.#wakeUps = wakeUps;
  }

  /** @throws InputError `goal-not-found`; `goal-kind` for one that is no stream. */
  async find(workspaceId: number, goalId: string): Promise<GoalRow> {
    const goal = await this.#storage.read(({ goals }) => goals.find(workspaceId, goalId));
    if (goal === null) throw new InputError('goal-not-found', 'there is no such goal in this workspace');
    if (goal.kind !== 'stream')
      throw new InputError('goal-kind', `the goal is of kind "${goal.kind}": only streams can be asked this`);
    return goal;
  }

  /** @throws InputError as `find`; `stream-conflict` when the goal or its connection is switched off. */
  async order(workspaceId: number, order: StreamOrder): Promise<void> {
    const goal = await this.find(workspaceId, order.goalId);
    const connection = await this.#storage.read(({ connections }) => connections.find(workspaceId, goal.connectionId));
    if (connection === null || !isStreaming(goal, connection)) {
      throw new InputError(
        'stream-conflict',
        'the goal is switched off, or its connection is: switch it on first, which sends everyone in its segments',
      );
    }
    await sendCommand(this.#executor, order);
    await this.#wakeUps.wake('stream-lane', { version: 1 });
  }
}

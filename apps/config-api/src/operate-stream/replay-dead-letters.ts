import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Executor } from '@millrace/database';
import { InputError, streamReplay, TransientError, type DeadLetterFilter, type StreamReplay } from '@millrace/domain';
import { findWaitingCommand } from '@millrace/job-queue';
import type { AskPublisher } from './ask-publisher.js';
import type { OperateStream } from './operate-stream.js';

const patienceMs = 5000;
const lookEveryMs = 50;

/**
 * Has dead letters sent again, and waits a while for a publisher to say how many it has taken up. Without one that answers the replay
 * is committed all the same and comes back as `asked`.
 * @throws InputError as `OperateStream.order`
 */
export async function replayDeadLetters(
  streams: OperateStream,
  publisher: AskPublisher | undefined,
  target: { readonly workspaceId: number; readonly goalId: string; readonly filter: DeadLetterFilter },
): Promise<StreamReplay> {
  const { workspaceId, goalId, filter } = target;
  const id = randomUUID();
  await streams.order(workspaceId, { kind: 'replay-dead-letters', goalId, filter, replayId: id });
  const asked: StreamReplay = { id, state: 'asked', filter };
  if (publisher === undefined) return asked;
  const deadline = performance.now() + patienceMs;
  do {
    await delay(lookEveryMs);
    const taken = await askReplay(publisher, goalId, id).catch((error: unknown) => {
      if (error instanceof TransientError) return asked;
      throw error;
    });
    if (taken !== undefined) return taken;
  } while (performance.now() < deadline);
  return asked;
}

/** How far a replay is. @throws InputError `replay-not-found`; TransientError `publisher-unavailable` */
export async function findReplay(
  executor: Executor,
  publisher: AskPublisher,
  goalId: string,
  id: string,
): Promise<StreamReplay> {
  // In this order: what is carried out between the two questions is found by the second.
  const waiting = await findWaitingCommand(executor, goalId, 'replay-dead-letters', ({ replayId }) => replayId === id);
  const taken = await askReplay(publisher, goalId, id);
  if (taken !== undefined) return taken;
  if (waiting !== undefined) return { id, state: 'asked', filter: waiting.filter };
  throw new InputError('replay-not-found', 'there is no such replay of this goal, or it was long ago');
}

/** Undefined: no publisher has taken it up. */
async function askReplay(publisher: AskPublisher, goalId: string, id: string): Promise<StreamReplay | undefined> {
  try {
    return await publisher(`goals/${goalId}/replays/${id}`, streamReplay);
  } catch (error) {
    if (error instanceof InputError && error.code === 'replay-not-found') return undefined;
    throw error;
  }
}

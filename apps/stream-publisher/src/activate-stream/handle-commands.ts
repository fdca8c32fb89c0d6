import { randomUUID } from 'node:crypto';
import type { Database, Transaction } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { takeCommands, type CommandOf } from '@millrace/job-queue';
import type { PublisherEvents } from '../publish-changes/publisher.events.js';
import { replayDeadLetters } from '../storage/dead-letters.js';
import { cancelBackfills, pauseGoal, resumeGoal, setGoalFault } from '../storage/goals.js';
import { activateStream, deactivateStream, removeStream } from './activate-stream.js';

const streamCommands = [
  'activate-stream',
  'deactivate-stream',
  'remove-stream',
  'pause-stream',
  'resume-stream',
  'cancel-backfill',
  'replay-dead-letters',
] as const;
type StreamCommand = CommandOf<(typeof streamCommands)[number]>;

/** Does what was commanded since; returns how many commands there were. Any publisher may ask, each command is done once. */
export async function handleCommands(database: Database, events: PublisherEvents): Promise<number> {
  const tell: (() => void)[] = [];
  try {
    return await takeCommands(database, streamCommands, async (tx, command) => {
      tell.push(await carryOut(tx, command, events));
    });
  } finally {
    for (const event of tell) event();
  }
}

/** Returns what to tell the operator once it is committed. What is asked of a goal that is unknown or in another state does nothing. */
async function carryOut(tx: Transaction, command: StreamCommand, events: PublisherEvents): Promise<() => void> {
  const { goalId } = command;
  switch (command.kind) {
    case 'activate-stream':
      return await activate(tx, goalId, command.snapshotId, events);
    case 'deactivate-stream':
      await deactivateStream(tx, goalId);
      return () => events.deactivated(goalId);
    case 'remove-stream':
      await removeStream(tx, goalId);
      return () => events.removed(goalId);
    case 'pause-stream': {
      const paused = await pauseGoal(tx, goalId);
      return () => paused && events.paused(goalId);
    }
    case 'resume-stream': {
      const resumed = await resumeGoal(tx, goalId);
      return () => resumed && events.resumed(goalId);
    }
    case 'cancel-backfill': {
      const backfills = await cancelBackfills(tx, goalId, command.segmentId);
      return () => events.backfillCancelled(goalId, backfills);
    }
    case 'replay-dead-letters': {
      const { replayId: id = randomUUID(), filter } = command;
      const deadLetters = await replayDeadLetters(tx, { id, goalId, filter });
      return () => events.replayed(goalId, deadLetters);
    }
  }
}

async function activate(
  tx: Transaction,
  goalId: string,
  snapshotId: string,
  events: PublisherEvents,
): Promise<() => void> {
  try {
    const { backfills } = await activateStream(tx, goalId, snapshotId);
    return () => events.activated(goalId, backfills);
  } catch (error) {
    // Nothing was written yet, and the same again would fail the same: the command is done with, its owner told.
    if (!(error instanceof InputError)) throw error;
    await setGoalFault(tx, goalId, error);
    return () => events.activationRefused(goalId, error);
  }
}

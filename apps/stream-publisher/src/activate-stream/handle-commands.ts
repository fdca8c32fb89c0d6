import type { Database, Transaction } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { takeCommands } from '@millrace/job-queue';
import type { PublisherEvents } from '../publish-changes/publisher.events.js';
import { setGoalFault } from '../storage/goals.js';
import { activateStream, deactivateStream } from './activate-stream.js';

/** Does what was commanded since; returns how many commands there were. Any publisher may ask, each command is done once. */
export async function handleCommands(database: Database, events: PublisherEvents): Promise<number> {
  const tell: (() => void)[] = [];
  try {
    return await takeCommands(database, ['activate-stream', 'deactivate-stream'], async (tx, command) => {
      tell.push(
        command.kind === 'activate-stream'
          ? await activate(tx, command.goalId, command.snapshotId, events)
          : await deactivate(tx, command.goalId, events),
      );
    });
  } finally {
    for (const event of tell) event();
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

async function deactivate(tx: Transaction, goalId: string, events: PublisherEvents): Promise<() => void> {
  await deactivateStream(tx, goalId);
  return () => events.deactivated(goalId);
}

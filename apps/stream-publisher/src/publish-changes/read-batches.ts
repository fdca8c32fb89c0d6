import type { Executor } from '@millrace/database';
import type { DueDelivery } from '../storage/deliveries.js';
import { readProfileStates } from '../storage/profile-states.js';
import type { GoalBatch, Reading } from './goal-sender.js';
import { groupBy } from './group-by.js';
import { knowReceivers } from './know-receivers.js';

interface ReadBatch<Delivery extends DueDelivery> {
  readonly batch: GoalBatch<Delivery>;
  readonly reading: Reading;
}

/** Reads the present state of the profiles of all batches: once for goals of one workspace, which read by the same list. */
export async function readBatches<Delivery extends DueDelivery>(
  executor: Executor,
  batches: readonly GoalBatch<Delivery>[],
): Promise<readonly ReadBatch<Delivery>[]> {
  const read: ReadBatch<Delivery>[] = [];
  for (const [attributes, group] of groupBy(batches, (batch) => batch.goal.attributes)) {
    const workspaceId = group[0]?.goal.workspaceId;
    if (workspaceId === undefined) continue;
    const readAt = performance.now();
    const profileIds = new Set<string>();
    for (const { due } of group) for (const { profileId } of due) profileIds.add(profileId);
    const states = await readProfileStates(executor, workspaceId, attributes, [...profileIds]);
    for (const batch of group) {
      const told = await knowReceivers(executor, batch.goal, batch.due, states);
      read.push({ batch, reading: { states, told, readAt } });
    }
  }
  return read;
}

import type { Executor } from '@millrace/database';
import type { ProfileState } from '../build-record/record-template.js';
import type { DueDelivery } from '../storage/deliveries.js';
import { readErasures } from '../storage/outbox.js';
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
    const { segmentIds, namespaceIds } = namedIn(states.values());
    for (const batch of group) {
      const { goal } = batch;
      await goal.catalogue.learn(executor, segmentIds, namespaceIds);
      const due = await withErasures(executor, batch, states);
      const told = await knowReceivers(executor, goal, due, states);
      read.push({ batch: { goal, due }, reading: { states, told, readAt } });
    }
  }
  return read;
}

function namedIn(states: Iterable<ProfileState>): {
  readonly segmentIds: ReadonlySet<string>;
  readonly namespaceIds: ReadonlySet<number>;
} {
  const segmentIds = new Set<string>();
  const namespaceIds = new Set<number>();
  for (const { memberships, identities } of states) {
    for (const { segmentId } of memberships) segmentIds.add(segmentId);
    for (const { namespaceId } of identities) namespaceIds.add(namespaceId);
  }
  return { segmentIds, namespaceIds };
}

/**
 * A profile that left the goal's segments and was erased before that was told: the erasure, still in the outbox, names no segment of the goal
 * any more, so the record of the exit has to tell of both. Goals that ask for consent know by themselves whom to tell.
 */
async function withErasures<Delivery extends DueDelivery>(
  executor: Executor,
  { goal, due }: GoalBatch<Delivery>,
  states: ReadonlyMap<string, ProfileState>,
): Promise<readonly Delivery[]> {
  if (goal.consentObjectives.length > 0) return due;
  const untold = (delivery: Delivery): boolean =>
    delivery.erased === null && delivery.segments.length > 0 && !states.has(delivery.profileId);
  const gone = due.filter(untold);
  if (gone.length === 0) return due;
  const erasures = await readErasures(
    executor,
    new Set(gone.map(({ lane }) => lane)),
    new Set(gone.map(({ profileId }) => profileId)),
  );
  return due.map((delivery) => {
    const erasure = untold(delivery) ? erasures.get(delivery.profileId) : undefined;
    if (erasure === undefined || erasure.segments.some((segment) => goal.mappedSegments.has(segment))) return delivery;
    return { ...delivery, erased: erasure.erased };
  });
}

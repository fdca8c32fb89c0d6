import type { Transaction } from '@millrace/database';
import { InputError, isReservedInRecords, type GoalSnapshot } from '@millrace/domain';
import { loadGoalSnapshot } from '@millrace/job-queue';
import { loadCatalogue, lockDefinitions, registerStreamTarget, removeStreamTarget } from '@millrace/profile-store';
import type { Catalogue } from '@millrace/mapping';
import { deactivateGoal, lockGoal, queueErasedSince, removeGoal, saveGoal, startBackfills } from '../storage/goals.js';
import { forgetAllTold, noteAllTold } from '../storage/told-profiles.js';
import { backfillScope, type StreamSnapshot } from './backfill-scope.js';

interface Activation {
  readonly workspaceId: number;
  /** How many segments' members are about to be sent. */
  readonly backfills: number;
}

/**
 * Starts a stream goal, or lets it go on with an edited configuration. Writers of the workspace wait meanwhile, so that the first
 * change after the commit finds the stream target and everything before it is in the backfill.
 * InputError when the goal names what the workspace does not have.
 */
export async function activateStream(tx: Transaction, goalId: string, snapshotId: string): Promise<Activation> {
  const snapshot = streamSnapshot(await loadGoalSnapshot(tx, snapshotId));
  const { workspaceId, goal } = snapshot;
  await lockDefinitions(tx, workspaceId, 'exclusive');
  const catalogue = await loadCatalogue(tx, workspaceId);
  const propertyIds = goal.properties.map((name) => propertyId(catalogue, name));
  checkSegmentsAndKey(catalogue, snapshot);
  await registerStreamTarget(tx, { goalId, workspaceId, propertyIds, suppressSameValue: goal.suppressSameValue });

  const before = await lockGoal(tx, goalId);
  // An inactive goal has missed changes: as if it had never been sent.
  const collecting = before !== undefined && before.state !== 'inactive';
  const last = before === undefined ? undefined : streamSnapshot(await loadGoalSnapshot(tx, before.snapshotId));
  await saveGoal(tx, {
    goalId,
    workspaceId,
    snapshotId,
    propertyIds,
    segmentIds: goal.segmentIds,
    suppressSameValue: goal.suppressSameValue,
    consentObjectives: snapshot.consentObjectives,
    maxLagSeconds: goal.maxLagSeconds,
  });
  if (snapshot.consentObjectives.length === 0) await forgetAllTold(tx, goalId);
  else if (last?.consentObjectives.length === 0) await noteAllTold(tx, goalId, last.goal.segmentIds);
  const segmentIds = backfillScope(collecting ? last : undefined, snapshot);
  const missedSince = collecting ? undefined : before?.deactivatedAt;
  await startBackfills(tx, goalId, segmentIds, missedSince);
  if (missedSince !== undefined) {
    await queueErasedSince(tx, { goalId, workspaceId, segmentIds: goal.segmentIds }, missedSince);
  }
  return { workspaceId, backfills: segmentIds.length };
}

/** Stops a stream goal. What changes left unsent stays, and is sent when it is activated again; backfills end. */
export async function deactivateStream(tx: Transaction, goalId: string): Promise<void> {
  const goal = await lockGoal(tx, goalId);
  if (goal === undefined) return;
  await removeStreamTarget(tx, goal.workspaceId, goalId);
  await deactivateGoal(tx, goalId);
}

/** Stops a stream goal that was deleted, and forgets it. */
export async function removeStream(tx: Transaction, goalId: string): Promise<void> {
  const goal = await lockGoal(tx, goalId);
  if (goal === undefined) return;
  await removeStreamTarget(tx, goal.workspaceId, goalId);
  await removeGoal(tx, goalId);
}

/** @throws InputError `goal-kind` */
export function streamSnapshot(snapshot: GoalSnapshot): StreamSnapshot {
  if (snapshot.goal.kind !== 'stream')
    throw new InputError('goal-kind', `goal ${snapshot.goalId} is not a stream goal`);
  return { ...snapshot, goal: snapshot.goal };
}

function propertyId(catalogue: Catalogue, name: string): number {
  const property = catalogue.properties.get(name);
  if (property === undefined) {
    throw new InputError(
      'property-not-found',
      `the workspace has no property ${JSON.stringify(name)}: create it, or take it off the goal`,
      {
        at: 'properties',
      },
    );
  }
  if (isReservedInRecords(name)) {
    throw new InputError(
      'property-reserved',
      `a record uses the beginning of ${JSON.stringify(name)} itself: take the property off the goal`,
      {
        at: 'properties',
      },
    );
  }
  return property.id;
}

function checkSegmentsAndKey(catalogue: Catalogue, { goal }: StreamSnapshot): void {
  const missing = goal.segmentIds.find((segmentId) => !catalogue.segments.has(segmentId));
  if (missing !== undefined) {
    throw new InputError('segment-not-found', `the workspace has no segment ${missing}: take it off the goal`, {
      at: 'segmentIds',
    });
  }
  const { partitionKey } = goal;
  if (partitionKey.kind === 'identity' && !catalogue.namespaces.has(partitionKey.namespace)) {
    throw new InputError(
      'namespace-not-found',
      `the workspace has no identity namespace ${JSON.stringify(partitionKey.namespace)}`,
      {
        at: 'partitionKey.namespace',
      },
    );
  }
}

import type { Database } from '@millrace/database';
import {
  type ExportProfilesGoal,
  type GoalEndpoint,
  type GoalSnapshot,
  goalUnitPayload,
  InputError,
} from '@millrace/domain';
import { loadGoalSnapshot, type Unit, type WakeUps } from '@millrace/job-queue';
import type { ObjectStore } from '@millrace/object-store';
import type { ExportKey } from '../storage/exports.js';
import type { ReceiverSeals } from '../storage/receiver-seals.js';
import type { ExportEvents } from './export.events.js';

/** Where a goal writes to: its endpoint with the secrets opened, and the buckets behind it. */
export interface ExportTarget {
  readonly endpoint: GoalEndpoint;
  readonly store: ObjectStore;
}

/** What the work of an export needs from outside. */
export interface Exporter {
  readonly database: Database;
  /** Where rows are read instead, when it shows what the plan saw. */
  readonly replica?: Database | undefined;
  readonly wakeUps: WakeUps;
  /** @throws InputError('seal-broken') when the secrets were sealed for another key */
  readonly openTarget: (snapshot: GoalSnapshot) => ExportTarget;
  readonly events: ExportEvents;
  /** Of a workspace, for `pseudonymise`: the same for every export of it. */
  readonly pseudonymKey: (workspaceId: number) => Uint8Array;
  readonly seals: ReceiverSeals;
}

/** A unit's goal, read and opened. */
export interface ExportWork extends ExportTarget {
  readonly key: ExportKey;
  readonly snapshot: GoalSnapshot;
  readonly goal: ExportProfilesGoal;
}

/** Runs `work` on the goal of a unit and closes the store's connections afterwards. */
export async function withExportWork<T>(
  exporter: Exporter,
  unit: Unit,
  work: (work: ExportWork) => Promise<T>,
): Promise<T> {
  goalUnitPayload.parse(unit.payload);
  const snapshot = await loadGoalSnapshot(exporter.database, unit.snapshotId);
  const { goal } = snapshot;
  if (goal.kind !== 'export-profiles')
    throw new InputError('goal-kind', `the goal of unit ${unit.id} is of kind ${goal.kind}, not an export`);
  const target = exporter.openTarget(snapshot);
  try {
    return await work({ ...target, key: { runId: unit.runId, goalId: unit.goalId }, snapshot, goal });
  } finally {
    target.store.close();
  }
}

/** For reservations: one name for each place objects can be in. */
export function endpointName(endpoint: GoalEndpoint): string {
  return endpoint.endpoint ?? '';
}

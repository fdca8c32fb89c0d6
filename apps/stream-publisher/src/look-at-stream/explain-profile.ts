import type { Executor } from '@millrace/database';
import { InputError, type StreamDecision, type StreamExplanation } from '@millrace/domain';
import { loadGoalSnapshot } from '@millrace/job-queue';
import { compileRecordTemplate, type ProfileState } from '../build-record/record-template.js';
import { streamSnapshot } from '../activate-stream/activate-stream.js';
import type { StreamSnapshot } from '../activate-stream/backfill-scope.js';
import { renderDelivery } from '../publish-changes/build-records.js';
import { compilePartitionKey } from '../publish-changes/sending-goal.js';
import { findGoal } from '../storage/goals.js';
import { isInOutbox } from '../storage/outbox.js';
import { readProfileStates } from '../storage/profile-states.js';
import { reasonNames } from '../storage/reasons.js';
import { loadRecordCatalogue } from '../storage/record-catalogues.js';
import { readOwedDelivery, type OwedDelivery } from '../storage/stream-states.js';
import { readTold } from '../storage/told-profiles.js';

/**
 * What a goal makes of one profile now, and why; nothing is sent.
 * @throws InputError `stream-not-active` for a goal that was never activated
 */
export async function explainProfile(
  executor: Executor,
  goalId: string,
  profileId: string,
): Promise<StreamExplanation> {
  const row = await findGoal(executor, goalId);
  if (row === undefined) throw neverActivated();
  const snapshot = streamSnapshot(await loadGoalSnapshot(executor, row.snapshotId));
  const { goal, workspaceId, consentObjectives } = snapshot;
  const catalogue = await loadRecordCatalogue(executor, workspaceId, goalId);
  const reading = { properties: goal.properties, consent: consentObjectives.length > 0 };
  const state = (await readProfileStates(executor, workspaceId, reading, [profileId])).get(profileId);
  const unread = await isInOutbox(executor, profileId);
  const owed = await readOwedDelivery(executor, goalId, profileId);
  const told = consentObjectives.length > 0 && (await readTold(executor, goalId, [profileId])).has(profileId);
  const mappedSegments = new Set(goal.segmentIds);
  const { decision, record } = renderDelivery(
    {
      goal,
      mappedSegments,
      consentObjectives,
      template: compileRecordTemplate(goal, new Map(goal.properties.map((name, index) => [name, index])), catalogue),
      partitionKey: compilePartitionKey(goal, catalogue),
    },
    {
      profileId,
      seq: owed?.seq ?? '0',
      reasons: owed?.reasons ?? 0,
      segments: owed?.segments ?? [],
      erased: owed?.erased ?? null,
      changedAtMs: (owed?.changedAt ?? new Date()).getTime(),
    },
    state,
    told,
  );
  return {
    profileId,
    state: row.state,
    decision,
    because: reasonsOf({ decision, state, snapshot, goalState: row.state, owed, unread, bytes: record?.bytes }),
    memberships: (state?.memberships ?? []).map(({ segmentId, status, qualifiedAt }) => ({
      segmentId,
      status,
      mapped: mappedSegments.has(segmentId),
      since: qualifiedAt,
    })),
    ...(consentObjectives.length === 0
      ? {}
      : { consent: { needed: [...consentObjectives], granted: [...(state?.consents ?? [])], told } }),
    ...(owed === undefined ? {} : { delivery: deliveryOf(owed) }),
    ...(record === undefined
      ? {}
      : { record: record.data.toString(), bytes: record.bytes, partitionKey: record.partitionKey }),
  };
}

export function neverActivated(): InputError {
  return new InputError('stream-not-found', 'the goal was never active, or not yet: there is no stream to look at');
}

function deliveryOf(owed: OwedDelivery): NonNullable<StreamExplanation['delivery']> {
  return {
    state: owed.state,
    causes: [...reasonNames(owed.reasons)],
    attempts: owed.attempts,
    changedAt: owed.changedAt.toISOString(),
    notBefore: owed.notBefore.toISOString(),
    ...(owed.error === undefined ? {} : { error: owed.error }),
  };
}

const decisions: Readonly<Record<StreamDecision, string>> = {
  send: 'it is in a mapped segment, or has just left one: its changes are sent',
  withdraw: 'it does not consent any more, and the stream knows it: one record without attributes takes it back',
  erase: 'it was erased, and the stream knows it: one record without attributes says so',
  'not-eligible': 'it is in none of the segments the goal maps: nothing is sent',
  withheld: 'it has granted none of the objectives the connection is linked to: nothing is sent',
  gone: 'the workspace has no such profile',
};

function reasonsOf(facts: {
  readonly decision: StreamDecision;
  readonly state: ProfileState | undefined;
  readonly snapshot: StreamSnapshot;
  readonly goalState: 'active' | 'paused' | 'inactive';
  readonly owed: OwedDelivery | undefined;
  readonly unread: boolean;
  readonly bytes: number | undefined;
}): string[] {
  const { decision, snapshot, goalState, owed, bytes } = facts;
  const because = [decisions[decision]];
  if (goalState === 'paused') because.push('the goal is paused: changes are collected and sent when it is resumed');
  if (goalState === 'inactive') because.push('the goal is inactive: changes are not even collected');
  const { maxRecordBytes } = snapshot.goal;
  if (bytes !== undefined && bytes > maxRecordBytes)
    because.push(`its record has ${bytes} bytes and the goal allows ${maxRecordBytes}: it becomes a dead letter`);
  if (facts.unread)
    because.push(
      'a change is in the outbox: it is on its way now, or waits for a publisher, whether or not it matters here',
    );
  if (owed === undefined) {
    if (!facts.unread) because.push('nothing is waiting: everything up to its last change was told, or did not matter');
  } else if (owed.state === 'failed')
    because.push(
      `its last record was given up after ${owed.attempts} tries (${owed.error?.code ?? 'unknown'}): replay it, or change the profile`,
    );
  else if (owed.attempts > 0)
    because.push(`its record was refused ${owed.attempts} times (${owed.error?.code ?? 'unknown'}) and is tried again`);
  else because.push('a change is waiting to be sent');
  return because;
}

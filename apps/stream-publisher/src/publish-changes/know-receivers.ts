import type { Executor } from '@millrace/database';
import { decideRecord } from '../build-record/decide-record.js';
import type { ProfileState } from '../build-record/record-template.js';
import type { DueDelivery } from '../storage/deliveries.js';
import { noteTold, readTold } from '../storage/told-profiles.js';
import type { SendingGoal } from './sending-goal.js';

const nobody: ReadonlySet<string> = new Set();

/**
 * Which of the profiles the goal's stream knows, or will know once the records built now are sent: those are written down first,
 * so that a withdrawal of consent is told to every receiver that heard of a profile, and names nobody to one that did not.
 * Goals that do not ask for consent need not know.
 */
export async function knowReceivers(
  executor: Executor,
  goal: SendingGoal,
  due: readonly DueDelivery[],
  states: ReadonlyMap<string, ProfileState>,
): Promise<ReadonlySet<string>> {
  const objectives = goal.consentObjectives;
  if (objectives.length === 0) return nobody;
  const told = new Set(
    await readTold(
      executor,
      goal.goalId,
      due.map((delivery) => delivery.profileId),
    ),
  );
  const firsts = due.filter(({ profileId, segments, erased }) => {
    if (told.has(profileId)) return false;
    const question = { mappedSegments: goal.mappedSegments, changedSegments: segments, erased: erased !== null };
    return decideRecord(states.get(profileId), { ...question, objectives, told: false }) === 'send';
  });
  if (firsts.length > 0) {
    await noteTold(
      executor,
      goal.goalId,
      firsts.map((delivery) => delivery.profileId),
    );
    for (const { profileId } of firsts) told.add(profileId);
  }
  return told;
}

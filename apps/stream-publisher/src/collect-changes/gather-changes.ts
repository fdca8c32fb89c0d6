import type { DueDelivery } from '../storage/deliveries.js';
import type { CollectingGoal } from '../storage/goals.js';
import type { OutboxRow } from '../storage/outbox.js';
import { careOf, type Care, type ChangeMarks } from './goals-that-care.js';

/** What a goal owes a profile for changes that are still in the outbox. */
export interface ChangeDelivery extends DueDelivery {
  /** Epoch milliseconds of the oldest change in it. */
  readonly firstChangeAtMs: number;
  /** The goal owed the profile something before: this has to join it. */
  readonly joins: boolean;
}

interface CaringGoal extends Care {
  readonly goalId: string;
}

/**
 * What the outbox rows make each goal owe, by goal id: one delivery for each profile, however often it changed. Goals that do not care for
 * any of the rows are missing.
 */
export function gatherChanges(
  rows: readonly OutboxRow[],
  goals: readonly CollectingGoal[],
): ReadonlyMap<string, readonly ChangeDelivery[]> {
  const byProfile = new Map<string, OutboxRow[]>();
  for (const row of rows) {
    const others = byProfile.get(row.profileId);
    if (others === undefined) byProfile.set(row.profileId, [row]);
    else others.push(row);
  }
  const caring = rememberingCare(goals);
  const gathered = new Map<string, ChangeDelivery[]>();
  for (const changes of byProfile.values()) {
    const shared = sharedByGoals(changes);
    for (const care of combinedCare(changes, caring)) {
      const delivery = deliveryFor(care, shared);
      const others = gathered.get(care.goalId);
      if (others === undefined) gathered.set(care.goalId, [delivery]);
      else others.push(delivery);
    }
  }
  return gathered;
}

/** Many rows bear the same marks: who cares is found out once for them. */
function rememberingCare(goals: readonly CollectingGoal[]): (row: OutboxRow) => readonly CaringGoal[] {
  const known = new Map<string, readonly CaringGoal[]>();
  return (row) => {
    const key = `${row.workspaceId} ${row.marks}`;
    let caring = known.get(key);
    if (caring === undefined) {
      const marks = readMarks(row.marks);
      caring = goals
        .filter((goal) => goal.workspaceId === row.workspaceId)
        .map((goal) => ({ goalId: goal.goalId, ...careOf(goal, marks) }))
        .filter(({ reasons }) => reasons !== 0);
      known.set(key, caring);
    }
    return caring;
  };
}

function combinedCare(
  changes: readonly OutboxRow[],
  caring: (row: OutboxRow) => readonly CaringGoal[],
): Iterable<CaringGoal> {
  const [only, ...others] = changes;
  if (only === undefined) return [];
  if (others.length === 0) return caring(only);
  const combined = new Map<string, CaringGoal>();
  for (const { goalId, reasons, segments } of changes.flatMap(caring)) {
    const before = combined.get(goalId);
    combined.set(goalId, {
      goalId,
      reasons: reasons | (before?.reasons ?? 0),
      segments: before === undefined ? segments : [...new Set([...before.segments, ...segments])],
    });
  }
  return combined.values();
}

/** What the changes of one profile mean to every goal alike. */
interface SharedByGoals {
  readonly profileId: string;
  readonly lane: number;
  readonly seq: string;
  readonly firstChangeAtMs: number;
  readonly changedAtMs: number;
  readonly waitedMs: number;
  readonly erased: string | null;
  readonly owingGoals: readonly string[];
}

function sharedByGoals(changes: readonly OutboxRow[]): SharedByGoals {
  const [first] = changes;
  if (first === undefined) throw new RangeError('a profile without changes');
  let { id, occurredAtMs: firstChangeAtMs, occurredAtMs: changedAtMs, waitedMs, erased } = first;
  for (const change of changes) {
    if (change.id > id) ({ id } = change);
    firstChangeAtMs = Math.min(firstChangeAtMs, change.occurredAtMs);
    changedAtMs = Math.max(changedAtMs, change.occurredAtMs);
    waitedMs = Math.max(waitedMs, change.waitedMs);
    erased ??= change.erased;
  }
  const { profileId, lane, owingGoals } = first;
  // Even numbers are never drawn from the sequence of deliveries.
  return { profileId, lane, seq: String(2n * id), firstChangeAtMs, changedAtMs, waitedMs, erased, owingGoals };
}

// Written out: there is one for each goal and change, and copying objects by `...` takes longer than all the rest of gathering.
function deliveryFor({ goalId, reasons, segments }: CaringGoal, shared: SharedByGoals): ChangeDelivery {
  return {
    goalId,
    profileId: shared.profileId,
    lane: shared.lane,
    seq: shared.seq,
    reasons,
    segments,
    attempts: 0,
    changedAtMs: shared.changedAtMs,
    waitedMs: shared.waitedMs,
    dueSinceMs: 0,
    erased: shared.erased,
    place: undefined,
    backfill: false,
    firstChangeAtMs: shared.firstChangeAtMs,
    joins: shared.owingGoals.includes(goalId),
  };
}

/** As `readOutbox` writes them. */
function readMarks(text: string): ChangeMarks {
  const [written = '', changed = '', segments = '', identities, consent, erased] = text.split('/');
  return {
    written: listOf(written).map(Number),
    changed: listOf(changed).map(Number),
    segments: listOf(segments),
    identities: identities === '1',
    consent: consent === '1',
    erased: erased === '1',
  };
}

function listOf(text: string): readonly string[] {
  return text === '' ? [] : text.split(',');
}

import { setImmediate as letOthersRun } from 'node:timers/promises';
import type { Database } from '@millrace/database';
import { maxRecordsPerPut } from '@millrace/event-stream';
import { gatherChanges, type ChangeDelivery } from '../collect-changes/gather-changes.js';
import { noteFailures } from '../storage/deliveries.js';
import { listCollectingGoals, type CollectingGoal } from '../storage/goals.js';
import { LaneFloors } from '../storage/outbox-horizon.js';
import { readOutbox, settleOutbox, type OutboxRow } from '../storage/outbox.js';
import { forgetTold } from '../storage/told-profiles.js';
import { answersInARow, type Flight, type Flights } from './flights.js';
import type { GoalFlow } from './goal-flow.js';
import type { GoalBatch, GoalSender } from './goal-sender.js';
import type { PublisherEvents } from './publisher.events.js';
import { readBatches } from './read-batches.js';
import type { SendingGoal } from './sending-goal.js';

interface ChangeParts {
  readonly database: Database;
  readonly goals: () => readonly SendingGoal[];
  readonly flow: (goalId: string) => GoalFlow;
  readonly flights: Flights;
  readonly sender: GoalSender;
  readonly horizon: { readonly through: bigint };
  readonly events: PublisherEvents;
  /** Something came back. */
  readonly announce: () => void;
  /** The goals of a turn go on without those that have not answered so long after the others. */
  readonly patienceMs: number;
}

/** What a look into the outbox found. */
export interface Found {
  /** Outbox rows, those no goal cares about included. */
  readonly rows: number;
  /** There may be more in some lanes. */
  readonly more: boolean;
  /** Some were written down as deliveries. */
  readonly owed: boolean;
}

interface SentRows {
  readonly rows: readonly OutboxRow[];
  readonly owed: readonly ChangeDelivery[];
  /** Answered in time: nothing is left of them once the rows are settled. */
  readonly back: readonly Flight<ChangeDelivery>[];
  readonly late: readonly Flight<ChangeDelivery>[];
  /** The rows are gone. */
  readonly looked: () => void;
}

const nothing: Found = { rows: 0, more: false, owed: false };

/**
 * Sends changes straight from the outbox: to every goal that is clear and owes the profile nothing. What was not acknowledged in the same
 * turn, and all that other goals care for, is written down as deliveries by the statement that removes the rows. A crash in between
 * leaves the rows, and their changes are sent again.
 */
export class ChangeSender {
  readonly #parts: ChangeParts;
  readonly #floors: LaneFloors;
  #unsettled: SentRows | undefined;
  /** Lanes that had more than their share, and how many rows the others left of theirs. */
  #crowd: Crowd = { lanes: new Set(), spare: 0 };

  constructor(parts: ChangeParts) {
    this.#parts = parts;
    this.#floors = new LaneFloors(parts.horizon);
  }

  /** Rows were sent that could not be removed yet: nothing is read before `settle` has succeeded. */
  get unsettled(): boolean {
    return this.#unsettled !== undefined;
  }

  /** `lookedAtMs`: when it was last seen which goals owe nothing that is due. */
  async sendChanges(lanes: readonly number[], lookedAtMs: number): Promise<Found> {
    const { database } = this.#parts;
    this.#floors.keep(lanes);
    const looked = this.#floors.beforeLook();
    const heads = shareOut(lanes, this.#crowd).map((head) => ({ ...head, after: this.#floors.of(head.lane) }));
    const rows = await readOutbox(database, heads);
    const emptied = emptiedLanes(heads, rows);
    this.#crowd = crowdOf(lanes, emptied, rows);
    if (rows.length === 0) {
      looked(emptied);
      return nothing;
    }
    const goals = await listCollectingGoals(database, [...new Set(rows.map((row) => row.workspaceId))]);
    const { batches, owed } = this.#plan(goals, gatherChanges(rows, goals), lookedAtMs);
    const flights = await this.#launch(batches);
    await answersInARow(flights, this.#parts.patienceMs);
    const back = flights.filter((flight) => flight.outcome !== undefined);
    const late = flights.filter((flight) => !back.includes(flight));
    this.#unsettled = {
      rows,
      owed: [...owed, ...back.flatMap(notDone), ...late.flatMap(({ due }) => due)],
      back,
      late,
      looked: () => looked(emptied),
    };
    await this.settle();
    for (const { goalId } of owed) this.#parts.flow(goalId).lookBy(performance.now());
    return { rows: rows.length, more: emptied.length < lanes.length, owed: owed.length > 0 };
  }

  /** Removes the rows that were sent; whether there were any. When the database fails, they are kept for the next call. */
  async settle(): Promise<boolean> {
    const { database, events, flights, announce } = this.#parts;
    const sent = this.#unsettled;
    if (sent === undefined) return false;
    const removed = await settleOutbox(database, sent.rows, sent.owed);
    const left = flights.left(sent.back.flatMap(({ outcome }) => outcome ?? []));
    const failures = sent.back.flatMap(({ outcome }) => outcome?.failures ?? []);
    if (left.length > 0) await forgetTold(database, left);
    if (failures.length > 0) await noteFailures(database, failures);
    this.#unsettled = undefined;
    // Others may have removed some; but rows that only lie elsewhere now (VACUUM FULL) are still to be found.
    if (removed === sent.rows.length) sent.looked();
    events.outboxTaken(removed);
    for (const flight of sent.back) {
      flight.flow.answeredInTime();
      flights.close(flight);
    }
    for (const flight of sent.late) {
      flight.flow.answersLate(performance.now());
      flights.settleLater(flight, announce);
    }
    return true;
  }

  /** Which goals are sent their changes now; the others will owe them. */
  #plan(
    goals: readonly CollectingGoal[],
    gathered: ReadonlyMap<string, readonly ChangeDelivery[]>,
    lookedAtMs: number,
  ): { readonly batches: readonly GoalBatch<ChangeDelivery>[]; readonly owed: readonly ChangeDelivery[] } {
    const sending = new Map(this.#parts.goals().map((goal) => [goal.goalId, goal]));
    const batches: GoalBatch<ChangeDelivery>[] = [];
    const owed: ChangeDelivery[] = [];
    for (const { goalId, snapshotId, active } of goals) {
      const changes = gathered.get(goalId) ?? [];
      const goal = sending.get(goalId);
      // Records are built as the goal was when the changes were read, or not at all.
      const mayStart = active && goal?.snapshotId === snapshotId && this.#parts.flow(goalId).isClear(lookedAtMs);
      const due = mayStart ? changes.filter(({ joins }) => !joins) : [];
      if (goal !== undefined && due.length > 0) {
        batches.push({ goal, due });
        this.#parts.flow(goalId).changedAtMs = lookedAtMs;
      }
      if (due.length < changes.length) owed.push(...(mayStart ? changes.filter(({ joins }) => joins) : changes));
    }
    return { batches, owed };
  }

  async #launch(batches: readonly GoalBatch<ChangeDelivery>[]): Promise<readonly Flight<ChangeDelivery>[]> {
    const { database, flow: flowOf, flights, sender } = this.#parts;
    const launched: Flight<ChangeDelivery>[] = [];
    for (const { batch, reading } of await readBatches(database, batches)) {
      const flow = flowOf(batch.goal.goalId);
      launched.push(flights.launch(batch.due, flow, sender.deliver(batch, flow, reading)));
      // One goal's records are on their way while the next one's are built.
      await letOthersRun();
    }
    return launched;
  }
}

/** What is still owed of an answered flight. */
function notDone({ due, outcome }: Flight<ChangeDelivery>): readonly ChangeDelivery[] {
  if (outcome === undefined || outcome.done.length === due.length) return outcome === undefined ? due : [];
  const done = new Set(outcome.done.map(({ profileId }) => profileId));
  return due.filter(({ profileId }) => !done.has(profileId));
}

interface Crowd {
  readonly lanes: ReadonlySet<number>;
  readonly spare: number;
}

/** As many rows as a request takes, spread over the lanes; what some did not need the last time goes to those that had more. */
function shareOut(lanes: readonly number[], crowd: Crowd): readonly { readonly lane: number; readonly rows: number }[] {
  const each = Math.floor(maxRecordsPerPut / lanes.length);
  const remainder = maxRecordsPerPut % lanes.length;
  const more = Math.floor(crowd.spare / Math.max(1, crowd.lanes.size));
  return lanes.map((lane, index) => ({
    lane,
    rows: each + (index < remainder ? 1 : 0) + (crowd.lanes.has(lane) ? more : 0),
  }));
}

function crowdOf(lanes: readonly number[], emptied: readonly number[], found: readonly OutboxRow[]): Crowd {
  const light = new Set(emptied);
  const crowded = new Set(lanes.filter((lane) => !light.has(lane)));
  const shares = crowded.size * Math.ceil(maxRecordsPerPut / lanes.length);
  const used = found.filter(({ lane }) => light.has(lane)).length;
  return { lanes: crowded, spare: Math.max(0, maxRecordsPerPut - shares - used) };
}

function emptiedLanes(
  heads: readonly { readonly lane: number; readonly rows: number }[],
  found: readonly OutboxRow[],
): readonly number[] {
  const counts = new Map<number, number>();
  for (const { lane } of found) counts.set(lane, (counts.get(lane) ?? 0) + 1);
  return heads.filter(({ lane, rows }) => (counts.get(lane) ?? 0) < rows).map(({ lane }) => lane);
}

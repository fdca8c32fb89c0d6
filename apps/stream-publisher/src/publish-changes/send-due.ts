import type { Database } from '@millrace/database';
import { readDue, type DueDelivery } from '../storage/deliveries.js';
import type { Flights } from './flights.js';
import type { GoalFlow } from './goal-flow.js';
import type { GoalBatch, GoalSender } from './goal-sender.js';
import { groupBy } from './group-by.js';
import { readBatches } from './read-batches.js';
import type { SendingGoal } from './sending-goal.js';

interface DueParts {
  readonly database: Database;
  readonly goals: () => readonly SendingGoal[];
  readonly flow: (goalId: string) => GoalFlow;
  readonly flights: Flights;
  readonly sender: GoalSender;
  /** Something came back. */
  readonly announce: () => void;
  /** Deliveries that nothing told of (backfill, retries, another publisher's) are found this often. */
  readonly sweepMs: number;
}

/** Records of backfill in one request while there are changes: those that come meanwhile wait for its answer. */
const backfillBesideChanges = 100;
/** There are changes while the last is no older. */
const changesLastMs = 2000;

/** Sends what was written down as owed: backfills, records that were refused, and changes of goals that were slow or paused. */
export class DueSender {
  readonly #parts: DueParts;

  constructor(parts: DueParts) {
    this.#parts = parts;
  }

  /** Starts what is due for goals (of those meant) that are free and have not looked lately; `full`: for one of them there was more. */
  async sendDue(
    lanes: readonly number[],
    meant: (flow: GoalFlow) => boolean = () => true,
  ): Promise<'full' | 'some' | 'none'> {
    const { database, flow: flowOf, sweepMs } = this.#parts;
    const now = performance.now();
    const free = this.#parts.goals().filter((goal) => {
      const flow = flowOf(goal.goalId);
      return (flow.readyAtMs ?? Infinity) <= now && meant(flow);
    });
    if (free.length === 0) return 'none';
    const limit = Math.max(...free.map((goal) => flowOf(goal.goalId).limit));
    const rowsPerLane = Math.ceil(limit / lanes.length);
    const goals = free.map((goal) => ({ ...goal, dueAfterMs: flowOf(goal.goalId).dueAfterMs(lanes, now) }));
    const due = await readDue(database, { goals, lanes, rowsPerLane });
    const byGoal = groupBy(due, (delivery) => delivery.goalId);
    let full = false;
    const batches = free.map((goal) => {
      const flow = flowOf(goal.goalId);
      const found = byGoal.get(goal.goalId) ?? [];
      const more = found.length >= flow.limit || fullestLane(found) >= rowsPerLane;
      if (!more) flow.sawAllDue(lanes, found, now);
      const chosen = chooseDue(flow, found, now);
      // Backfill that steps back for changes is no reason to hurry.
      full ||= more && chosen.length >= Math.min(found.length, flow.limit);
      flow.owesMore = more || chosen.length < found.length;
      flow.lookAtMs = flow.owesMore ? now : now + sweepMs;
      return { goal, due: chosen };
    });
    await this.#launch(batches.filter((batch) => batch.due.length > 0));
    return full ? 'full' : due.length > 0 ? 'some' : 'none';
  }

  async #launch(batches: readonly GoalBatch[]): Promise<void> {
    const { database, flow: flowOf, flights, sender, announce } = this.#parts;
    for (const { batch, reading } of await readBatches(database, batches)) {
      const flow = flowOf(batch.goal.goalId);
      flights.settleLater(flights.launch(batch.due, flow, sender.deliver(batch, flow, reading)), announce);
    }
  }
}

/** Of a goal's due deliveries, changes first, those for its next request. */
function chooseDue(flow: GoalFlow, found: readonly DueDelivery[], now: number): readonly DueDelivery[] {
  const firstBackfill = found.findIndex((delivery) => delivery.backfill);
  if (firstBackfill !== 0 && found.length > 0) flow.changedAtMs = now;
  const beside = firstBackfill >= 0 && now - flow.changedAtMs < changesLastMs;
  return found.slice(0, beside ? Math.min(flow.limit, firstBackfill + backfillBesideChanges) : flow.limit);
}

function fullestLane(due: readonly DueDelivery[]): number {
  const counts = new Map<number, number>();
  for (const { lane } of due) counts.set(lane, (counts.get(lane) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}

import type { Database } from '@millrace/database';
import { maxRecordsPerPut } from '@millrace/event-stream';
import { Flights } from './flights.js';
import { GoalFlow } from './goal-flow.js';
import { GoalSender } from './goal-sender.js';
import type { HeldLanes } from './held-lanes.js';
import type { PublisherEvents } from './publisher.events.js';
import { ChangeSender } from './send-changes.js';
import { DueSender } from './send-due.js';
import type { SendingGoal } from './sending-goal.js';
import { Wakeable } from './wakeable.js';

export interface LaneSlotOptions {
  readonly requestTimeoutMs: number;
  /** Between two turns when there is no backlog: lets a batch gather. */
  readonly lingerMs: number;
  /** Between two turns when nothing happens, at most. */
  readonly idlePollMs: number;
  /** Deliveries that nothing told of (backfill, retries, another publisher's) are found this often. */
  readonly sweepMs: number;
  /** The goals of a turn go on without those that have not answered so long after the others. */
  readonly patienceMs: number;
}

interface LaneSlotParts {
  readonly database: Database;
  /** The slot's lanes at this moment. */
  readonly lanes: () => HeldLanes;
  readonly goals: () => readonly SendingGoal[];
  readonly horizon: { readonly through: bigint };
  readonly events: PublisherEvents;
}

/** `more`: there are changes to go on with at once; `backlog`: for a goal that is busy now. */
type TurnResult = 'more' | 'backlog' | 'some' | 'nothing';

/** A goal that answers is not sent to again before the others of its turn have answered too, but for no longer than this. */
const gatherMs = 20;
const turnRetryMs = 500;

/**
 * Publishes the changes of some lanes: one loop, one database connection at a time, at most one request per goal under way. As lanes
 * never change slots, a profile never has two records of one goal under way, whatever the other slots do; and a goal whose requests
 * hang keeps only itself busy.
 *
 * A turn: write down what came back, send what is new in the outbox, and what is owed.
 */
export class LaneSlot {
  readonly #database: Database;
  readonly #lanes: () => HeldLanes;
  readonly #events: PublisherEvents;
  readonly #options: LaneSlotOptions;
  readonly #wakeable = new Wakeable();
  readonly #flows = new Map<string, GoalFlow>();
  readonly #flights = new Flights(() => this.#lanes());
  readonly #changes: ChangeSender;
  readonly #due: DueSender;
  #stopping = false;
  #running: Promise<void> | undefined;

  constructor({ database, lanes, goals, horizon, events }: LaneSlotParts, options: LaneSlotOptions) {
    this.#database = database;
    this.#lanes = lanes;
    this.#events = events;
    this.#options = options;
    const { requestTimeoutMs, sweepMs, patienceMs } = options;
    const sender = new GoalSender({
      database,
      events,
      requestTimeoutMs,
      mayStart: (used) => !this.#stopping && this.#lanes().outlast(used, requestTimeoutMs),
    });
    const flow = (goalId: string): GoalFlow => this.#flow(goalId);
    const announce = (): void => this.wake();
    const parts = { database, goals, flow, flights: this.#flights, sender, announce };
    this.#changes = new ChangeSender({ ...parts, horizon, events, patienceMs });
    this.#due = new DueSender({ ...parts, sweepMs });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Something may have happened. */
  wake(): void {
    this.#wakeable.wake();
  }

  /** Deliveries were made that did not come through the outbox of these lanes. */
  lookEverywhere(): void {
    for (const flow of this.#flows.values()) flow.lookBy(performance.now());
    this.wake();
  }

  /** Sends nothing new; resolves when the requests under way have ended and their outcome is written down. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.wake();
    await this.#running;
  }

  /** Resolves when nothing of these lanes is under way any more. The lanes must not be handed out by `lanes()` meanwhile. */
  async drain(lanes: ReadonlySet<number>): Promise<void> {
    await this.#flights.drain(lanes);
  }

  async #run(): Promise<void> {
    const { lingerMs, idlePollMs } = this.#options;
    let idleMs = lingerMs;
    while (!this.#stopping || this.#flights.size > 0 || this.#changes.unsettled) {
      const startedAt = performance.now();
      let found: TurnResult;
      try {
        found = await this.#turn();
      } catch (error) {
        this.#events.turnFailed(error);
        await this.#wakeable.wait(turnRetryMs, turnRetryMs);
        continue;
      }
      if (found === 'more') continue;
      idleMs = found === 'nothing' ? Math.min(idlePollMs, idleMs * 1.5) : lingerMs;
      // Goals that are free at the same time share the reading of profiles.
      if (found === 'backlog' && this.#flights.size > 1) await this.#flights.answers(gatherMs);
      // A wake-up ends the wait; but without a backlog turns stay a linger apart, so that they find batches.
      const restMs = found === 'backlog' || this.#stopping ? 0 : startedAt + lingerMs - performance.now();
      await this.#wakeable.wait(restMs, idleMs);
    }
  }

  async #turn(): Promise<TurnResult> {
    // In this order: deliveries that came back may have been made by what is settled first.
    const changesSettled = await this.#changes.settle();
    const settled = (await this.#flights.settle(this.#database)) || changesSettled;
    if (this.#stopping) return 'nothing';
    const { lanes } = this.#lanes();
    if (lanes.length === 0) return 'nothing';
    // A goal that owes nothing more is known to be clear before changes are sent; one that does has its changes in the next request.
    const lookedAtMs = performance.now();
    const resent = await this.#due.sendDue(lanes, (flow) => !flow.owesMore);
    const found = await this.#changes.sendChanges(lanes, lookedAtMs);
    const owed = this.#stopping ? 'none' : await this.#due.sendDue(lanes);
    if (found.more && !found.owed) return 'more';
    if (resent === 'full' || owed === 'full' || found.more) return 'backlog';
    return settled || resent === 'some' || owed === 'some' || found.rows > 0 ? 'some' : 'nothing';
  }

  #flow(goalId: string): GoalFlow {
    let flow = this.#flows.get(goalId);
    if (flow === undefined) this.#flows.set(goalId, (flow = new GoalFlow(maxRecordsPerPut)));
    return flow;
  }
}

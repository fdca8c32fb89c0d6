import type { Database } from '@millrace/database';
import { summariseError, type ErrorSummary } from '@millrace/domain';
import { maxRecordsPerPut } from '@millrace/event-stream';
import {
  forgetFailures,
  noteFailures,
  readDue,
  removeDeliveries,
  type DeliveryKey,
  type DueDelivery,
  type FailedDelivery,
} from '../storage/deliveries.js';
import { setGoalFault } from '../storage/goals.js';
import { readProfileStates } from '../storage/profile-states.js';
import { forgetTold } from '../storage/told-profiles.js';
import { LaneFloors } from '../storage/outbox-horizon.js';
import { takeOutbox, type TakenChanges } from '../storage/take-outbox.js';
import type { ProfileState } from '../build-record/record-template.js';
import { buildRecords } from './build-records.js';
import { GoalFlow } from './goal-flow.js';
import { groupBy } from './group-by.js';
import type { HeldLanes } from './held-lanes.js';
import { knowReceivers } from './know-receivers.js';
import type { PublisherEvents } from './publisher.events.js';
import { sendRecords } from './send-records.js';
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
}

interface LaneSlotParts {
  readonly database: Database;
  /** The slot's lanes at this moment. */
  readonly lanes: () => HeldLanes;
  readonly goals: () => readonly SendingGoal[];
  readonly horizon: { readonly through: bigint };
  readonly events: PublisherEvents;
}

interface Settlement {
  readonly done: readonly DueDelivery[];
  /** Of those done, the ones that had failed before. */
  readonly recovered: readonly DeliveryKey[];
  /** Of those done, whom the receiver knows no more, where the goal asks for consent. */
  readonly left: readonly DeliveryKey[];
  readonly failures: readonly FailedDelivery[];
  /** Called once it is written down. */
  readonly settled: () => void;
}

/** What was read of the profiles of a batch. */
interface Reading {
  readonly states: ReadonlyMap<string, ProfileState>;
  /** Whom the stream knows, where the goal asks for consent. */
  readonly told: ReadonlySet<string>;
  /** `performance.now()` */
  readonly readAt: number;
}

interface InFlight {
  readonly lanes: readonly number[];
  readonly answered: Promise<unknown>;
  readonly ended: Promise<void>;
}

// As many as a request takes: more would only pile up as deliveries.
const outboxRowsPerTurn = 512;
/** A goal that answers is not sent to again before the others of its turn have answered too, but for no longer than this. */
const gatherMs = 20;
/** Records of backfill in one request while there are changes: those that come meanwhile wait for its answer. */
const backfillBesideChanges = 100;
/** There are changes while the last is no older. */
const changesLastMs = 2000;
const turnRetryMs = 500;
/** A single failed request is weather; the goal's owner is told of what lasts. */
const failuresToTell = 3;

/**
 * Publishes the changes of some lanes: one loop, one database connection at a time, at most one request per goal under way. As lanes
 * never change slots, a profile never has two records of one goal under way, whatever the other slots do; and a goal whose requests
 * hang keeps only itself busy.
 *
 * A turn: write down what came back, take the outbox, read what is due for goals that are free, read those profiles once for
 * all goals, hand the records to the streams, and go on without waiting for the answers.
 */
export class LaneSlot {
  readonly #database: Database;
  readonly #lanes: () => HeldLanes;
  readonly #goals: () => readonly SendingGoal[];
  readonly #events: PublisherEvents;
  readonly #options: LaneSlotOptions;
  readonly #wakeable = new Wakeable();
  readonly #floors: LaneFloors;
  readonly #flows = new Map<string, GoalFlow>();
  readonly #inFlight = new Set<InFlight>();
  #settlements: Settlement[] = [];
  #stopping = false;
  #running: Promise<void> | undefined;

  constructor(parts: LaneSlotParts, options: LaneSlotOptions) {
    this.#database = parts.database;
    this.#lanes = parts.lanes;
    this.#goals = parts.goals;
    this.#floors = new LaneFloors(parts.horizon);
    this.#events = parts.events;
    this.#options = options;
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
    const concerned = [...this.#inFlight].filter((flight) => flight.lanes.some((lane) => lanes.has(lane)));
    await Promise.all(concerned.map((flight) => flight.ended));
  }

  async #run(): Promise<void> {
    const { lingerMs, idlePollMs } = this.#options;
    let idleMs = lingerMs;
    while (!this.#stopping || this.#inFlight.size > 0) {
      const startedAt = performance.now();
      let found: 'backlog' | 'some' | 'nothing';
      try {
        found = await this.#turn();
      } catch (error) {
        this.#events.turnFailed(error);
        await this.#wakeable.wait(turnRetryMs, turnRetryMs);
        continue;
      }
      idleMs = found === 'nothing' ? Math.min(idlePollMs, idleMs * 1.5) : lingerMs;
      if (found === 'backlog' && this.#inFlight.size > 1) await this.#gatherAnswers();
      // A wake-up ends the wait; but without a backlog turns stay a linger apart, so that they find batches.
      const restMs = found === 'backlog' || this.#stopping ? 0 : startedAt + lingerMs - performance.now();
      await this.#wakeable.wait(restMs, idleMs);
    }
  }

  /** Goals that are free at the same time share the reading of profiles. */
  async #gatherAnswers(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, gatherMs)));
    await Promise.race([over, Promise.all([...this.#inFlight].map((flight) => flight.answered))]);
    clearTimeout(timer);
  }

  async #turn(): Promise<'backlog' | 'some' | 'nothing'> {
    const settled = await this.#settle();
    if (this.#stopping) return 'nothing';
    const { lanes } = this.#lanes();
    if (lanes.length === 0) return 'nothing';
    const taken = await this.#takeOutbox(lanes);
    if (taken.taken > 0) this.#events.outboxTaken(taken.taken);
    for (const goalId of taken.goalIds) this.#flow(goalId).lookBy(performance.now());
    const sent = await this.#sendDue(lanes);
    if (sent === 'full') return 'backlog';
    return settled || sent === 'some' || taken.taken > 0 ? 'some' : 'nothing';
  }

  async #takeOutbox(lanes: readonly number[]): Promise<TakenChanges> {
    this.#floors.keep(lanes);
    const looked = this.#floors.beforeLook();
    const rowsPerLane = Math.ceil(outboxRowsPerTurn / lanes.length);
    const heads = lanes.map((lane) => ({ lane, after: this.#floors.of(lane) }));
    const taken = await takeOutbox(this.#database, heads, rowsPerLane);
    looked(lanes.filter((lane) => !taken.fullLanes.includes(lane)));
    return taken;
  }

  /** Starts what is due for goals that are free; `full`: for one of them there was more. */
  async #sendDue(lanes: readonly number[]): Promise<'full' | 'some' | 'none'> {
    const now = performance.now();
    const free = this.#goals().filter((goal) => (this.#flow(goal.goalId).readyAtMs ?? Infinity) <= now);
    if (free.length === 0) return 'none';
    const limit = Math.max(...free.map((goal) => this.#flow(goal.goalId).limit));
    const rowsPerLane = Math.ceil(limit / lanes.length);
    const goals = free.map((goal) => ({ ...goal, dueAfterMs: this.#flow(goal.goalId).dueAfterMs(lanes, now) }));
    const due = await readDue(this.#database, { goals, lanes, rowsPerLane });
    const byGoal = groupBy(due, (delivery) => delivery.goalId);
    let full = false;
    const batches = free.map((goal) => {
      const flow = this.#flow(goal.goalId);
      const found = byGoal.get(goal.goalId) ?? [];
      const more = found.length >= flow.limit || fullestLane(found) >= rowsPerLane;
      if (!more) flow.sawAllDue(lanes, found, now);
      const chosen = this.#chooseDue(flow, found, now);
      // Backfill that steps back for changes is no reason to hurry.
      full ||= more && chosen.length >= Math.min(found.length, flow.limit);
      flow.lookAtMs = more || chosen.length < found.length ? now : now + this.#options.sweepMs;
      return { goal, due: chosen };
    });
    await this.#launch(batches.filter((batch) => batch.due.length > 0));
    return full ? 'full' : due.length > 0 ? 'some' : 'none';
  }

  /** Of a goal's due deliveries, changes first, those for its next request. */
  #chooseDue(flow: GoalFlow, found: readonly DueDelivery[], now: number): readonly DueDelivery[] {
    const firstBackfill = found.findIndex((delivery) => delivery.backfill);
    if (firstBackfill !== 0 && found.length > 0) flow.changedAtMs = now;
    const beside = firstBackfill >= 0 && now - flow.changedAtMs < changesLastMs;
    return found.slice(0, beside ? Math.min(flow.limit, firstBackfill + backfillBesideChanges) : flow.limit);
  }

  async #launch(
    batches: readonly { readonly goal: SendingGoal; readonly due: readonly DueDelivery[] }[],
  ): Promise<void> {
    // Goals of one workspace read by the same list: their profiles are read together.
    const readings = groupBy(batches, (batch) => batch.goal.attributes);
    for (const [attributes, group] of readings) {
      const workspaceId = group[0]?.goal.workspaceId;
      if (workspaceId === undefined) continue;
      const readAt = performance.now();
      const profileIds = [...new Set(group.flatMap((batch) => batch.due.map((delivery) => delivery.profileId)))];
      const states = await readProfileStates(this.#database, workspaceId, attributes, profileIds);
      for (const { goal, due } of group) {
        const told = await knowReceivers(this.#database, goal, due, states);
        this.#send(goal, due, { states, told, readAt });
      }
    }
  }

  #send(goal: SendingGoal, due: readonly DueDelivery[], reading: Reading): void {
    const flow = this.#flow(goal.goalId);
    flow.busy = true;
    let end: () => void = () => undefined;
    const delivered = this.#deliver(goal, flow, due, reading);
    const flight: InFlight = {
      lanes: due.map((delivery) => delivery.lane),
      answered: delivered,
      ended: new Promise((resolve) => (end = resolve)),
    };
    this.#inFlight.add(flight);
    const settled = (): void => {
      flow.busy = false;
      this.#inFlight.delete(flight);
      end();
    };
    void delivered.then((outcome) => {
      // Until the outcome is written down the goal stays busy here: read again, an acknowledged delivery would still be due.
      if (outcome.done.length > 0 || outcome.failures.length > 0) this.#settlements.push({ ...outcome, settled });
      else settled();
      this.wake();
    });
  }

  /** Never rejects: what goes wrong is a fault of the goal. */
  async #deliver(
    goal: SendingGoal,
    flow: GoalFlow,
    due: readonly DueDelivery[],
    { states, told, readAt }: Reading,
  ): Promise<Omit<Settlement, 'settled'>> {
    try {
      const built = buildRecords(goal, due, states, told);
      const { requestTimeoutMs } = this.#options;
      const outcome = await sendRecords(goal, built.records, {
        timeoutMs: requestTimeoutMs,
        mayStart: (records) =>
          !this.#stopping &&
          this.#lanes().outlast(
            records.map((record) => record.delivery.lane),
            requestTimeoutMs,
          ),
      });
      if (outcome.fault !== undefined) await this.#goalFailed(goal, flow, outcome.fault, built.records.length);
      else if (outcome.throttled > 0) flow.requestThrottled(performance.now(), outcome.throttled);
      else if (outcome.acknowledged.length > 0) await this.#goalWorks(goal, flow, outcome.acknowledged);
      this.#events.sent(goal.goalId, outcome, performance.now() - readAt);
      this.#events.unsendable(goal.goalId, built.unsendable);
      this.#events.withheld(goal.goalId, built.withheld);
      const failures = [...built.unsendable, ...outcome.failures];
      for (const { retryInMs } of failures) if (retryInMs !== undefined) flow.lookBy(performance.now() + retryInMs);
      const acknowledged = outcome.acknowledged.map((record) => record.delivery);
      const recovered = acknowledged.filter((delivery) => delivery.attempts > 0);
      const left =
        goal.consentObjectives.length === 0
          ? []
          : outcome.acknowledged.filter((record) => record.leaves).map((record) => record.delivery);
      return { done: [...built.settled, ...acknowledged], recovered, left, failures };
    } catch (error) {
      await this.#goalFailed(goal, flow, error, due.length);
      return { done: [], recovered: [], left: [], failures: [] };
    }
  }

  async #goalFailed(goal: SendingGoal, flow: GoalFlow, error: unknown, records: number): Promise<void> {
    flow.requestFailed(performance.now(), records);
    this.#events.requestFailed(goal.goalId, error, flow.failedRequests);
    if (flow.failedRequests < failuresToTell || flow.shown === 'fault') return;
    if (await this.#show(goal, summariseError(error))) flow.shown = 'fault';
  }

  async #goalWorks(goal: SendingGoal, flow: GoalFlow, records: readonly { readonly bytes: number }[]): Promise<void> {
    flow.requestPassed(
      records.length,
      records.reduce((sum, record) => sum + record.bytes, 0),
    );
    // After a start nobody knows what the last process left there.
    if (flow.shown !== 'works' && (await this.#show(goal, undefined))) flow.shown = 'works';
  }

  async #show(goal: SendingGoal, fault: ErrorSummary | undefined): Promise<boolean> {
    try {
      await setGoalFault(this.#database, goal.goalId, fault);
      return true;
    } catch (error) {
      this.#events.turnFailed(error);
      return false;
    }
  }

  /** Writes down what came back since the last turn. When the database fails, it is all kept for the next turn. */
  async #settle(): Promise<boolean> {
    const settlements = this.#settlements;
    if (settlements.length === 0) return false;
    // More may come back meanwhile.
    this.#settlements = [];
    try {
      const done = settlements.flatMap((settlement) => settlement.done);
      const failures = settlements.flatMap((settlement) => settlement.failures);
      const recovered = settlements.flatMap((settlement) => settlement.recovered);
      const left = settlements.flatMap((settlement) => settlement.left);
      if (done.length > 0) await removeDeliveries(this.#database, done);
      // Its lanes send nothing of the goal meanwhile, so nobody is told again before this is written down.
      if (left.length > 0) await forgetTold(this.#database, left);
      if (recovered.length > 0) await forgetFailures(this.#database, recovered);
      if (failures.length > 0) await noteFailures(this.#database, failures);
    } catch (error) {
      this.#settlements.unshift(...settlements);
      throw error;
    }
    for (const settlement of settlements) settlement.settled();
    return true;
  }

  #flow(goalId: string): GoalFlow {
    let flow = this.#flows.get(goalId);
    if (flow === undefined) this.#flows.set(goalId, (flow = new GoalFlow(maxRecordsPerPut)));
    return flow;
  }
}

function fullestLane(due: readonly DueDelivery[]): number {
  const counts = new Map<number, number>();
  for (const { lane } of due) counts.set(lane, (counts.get(lane) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}

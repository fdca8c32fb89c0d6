import type { Database } from '@millrace/database';
import { summariseError, type ErrorSummary } from '@millrace/domain';
import type { ProfileState } from '../build-record/record-template.js';
import type { DeliveryKey, DueDelivery, FailedDelivery } from '../storage/deliveries.js';
import { setGoalFault } from '../storage/goals.js';
import { buildRecords } from './build-records.js';
import type { GoalFlow } from './goal-flow.js';
import type { PublisherEvents } from './publisher.events.js';
import { sendRecords } from './send-records.js';
import type { SendingGoal } from './sending-goal.js';

/** What a goal is to be sent in one go. */
export interface GoalBatch<Delivery extends DueDelivery = DueDelivery> {
  readonly goal: SendingGoal;
  readonly due: readonly Delivery[];
}

/** What was read of the profiles of a batch. */
export interface Reading {
  readonly states: ReadonlyMap<string, ProfileState>;
  /** Whom the stream knows, where the goal asks for consent. */
  readonly told: ReadonlySet<string>;
  /** `performance.now()` */
  readonly readAt: number;
}

/** What became of a batch. What is in none of these was not tried, or nobody knows: it is still due. */
export interface Delivered {
  readonly done: readonly DueDelivery[];
  /** Of those done, the ones that had failed before. */
  readonly recovered: readonly DeliveryKey[];
  /** Of those done, whom the receiver knows no more, where the goal asks for consent. */
  readonly left: readonly DueDelivery[];
  readonly failures: readonly FailedDelivery[];
}

interface SenderParts {
  readonly database: Database;
  readonly events: PublisherEvents;
  readonly requestTimeoutMs: number;
  /** Whether a request for these lanes may start, and they stay ours for as long as it may take. */
  readonly mayStart: (lanes: readonly number[]) => boolean;
}

/** A single failed request is weather; the goal's owner is told of what lasts. */
const failuresToTell = 3;

const nothing: Delivered = { done: [], recovered: [], left: [], failures: [] };

/** Builds the records of a batch, sends them, and draws the consequences for the goal. */
export class GoalSender {
  readonly #parts: SenderParts;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /** Never rejects: what goes wrong is a fault of the goal. */
  async deliver({ goal, due }: GoalBatch, flow: GoalFlow, { states, told, readAt }: Reading): Promise<Delivered> {
    const { events, requestTimeoutMs: timeoutMs, mayStart } = this.#parts;
    try {
      const lanes = [...new Set(due.map((delivery) => delivery.lane))];
      const built = buildRecords(goal, due, states, told);
      const outcome = await sendRecords(goal, built.records, {
        timeoutMs,
        mayStart: () => mayStart(lanes),
      });
      if (outcome.fault !== undefined) await this.#goalFailed(goal, flow, outcome.fault, built.records.length);
      else if (outcome.throttled > 0) flow.requestThrottled(performance.now(), outcome.throttled);
      else if (outcome.acknowledged.length > 0) await this.#goalWorks(goal, flow, outcome.acknowledged);
      events.sent(goal.goalId, outcome, performance.now() - readAt);
      events.unsendable(goal.goalId, built.unsendable);
      events.withheld(goal.goalId, built.withheld);
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
      return nothing;
    }
  }

  async #goalFailed(goal: SendingGoal, flow: GoalFlow, error: unknown, records: number): Promise<void> {
    flow.requestFailed(performance.now(), records);
    this.#parts.events.requestFailed(goal.goalId, error, flow.failedRequests);
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
      await setGoalFault(this.#parts.database, goal.goalId, fault);
      return true;
    } catch (error) {
      this.#parts.events.turnFailed(error);
      return false;
    }
  }
}

import { setImmediate as letOthersRun } from 'node:timers/promises';
import type { Executor } from '@millrace/database';
import { forgetFailures, noteFailures, removeDeliveries, type DueDelivery } from '../storage/deliveries.js';
import { forgetTold } from '../storage/told-profiles.js';
import type { GoalFlow } from './goal-flow.js';
import type { Delivered } from './goal-sender.js';
import type { HeldLanes } from './held-lanes.js';

/** A batch of one goal on its way to the stream. The goal is busy until its outcome is written down: read again, what was acknowledged would still be due. */
export interface Flight<Delivery extends DueDelivery = DueDelivery> {
  readonly due: readonly Delivery[];
  readonly flow: GoalFlow;
  /** Undefined until the stream has answered. */
  outcome: Delivered | undefined;
  readonly answered: Promise<unknown>;
}

interface Landing {
  readonly ended: Promise<void>;
  readonly end: () => void;
}

/** Everything under way for some lanes, and what came back and is not written down yet. */
export class Flights {
  readonly #landings = new Map<Flight, Landing>();
  #toSettle: Flight[] = [];
  readonly #lanes: () => Pick<HeldLanes, 'outlast'>;

  /** `lanes`: those held at this moment. */
  constructor(lanes: () => Pick<HeldLanes, 'outlast'>) {
    this.#lanes = lanes;
  }

  /** `delivered` never rejects. */
  launch<Delivery extends DueDelivery>(
    due: readonly Delivery[],
    flow: GoalFlow,
    delivered: Promise<Delivered>,
  ): Flight<Delivery> {
    flow.busy = true;
    const flight: Flight<Delivery> = {
      due,
      flow,
      outcome: undefined,
      answered: delivered.then((outcome) => (flight.outcome = outcome)),
    };
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    this.#landings.set(flight, { ended, end });
    return flight;
  }

  /** Its deliveries have rows: what becomes of them is for the first `settle` after the answer, which is announced. */
  settleLater(flight: Flight, announce: () => void): void {
    void flight.answered.then(() => {
      this.#toSettle.push(flight);
      announce();
    });
  }

  /**
   * Of these outcomes, whom the receivers know no more. Nobody of a lane that has been lost: a successor may have told of them again.
   */
  left(outcomes: readonly Delivered[]): readonly DueDelivery[] {
    const left = outcomes.flatMap((outcome) => outcome.left);
    if (left.length === 0) return left;
    const held = this.#lanes();
    return left.filter(({ lane }) => held.outlast([lane], 0));
  }

  /** Nothing is left to be written down. */
  close(flight: Flight): void {
    flight.flow.busy = false;
    this.#landings.get(flight)?.end();
    this.#landings.delete(flight);
  }

  get size(): number {
    return this.#landings.size;
  }

  /** Resolves when everything now under way has been answered, or the time is over. */
  async answers(withinMs: number): Promise<void> {
    await answersOf([...this.#landings.keys()], withinMs);
  }

  /** Resolves when nothing of these lanes is under way any more. */
  async drain(lanes: ReadonlySet<number>): Promise<void> {
    const concerned = [...this.#landings].filter(([{ due }]) => due.some(({ lane }) => lanes.has(lane)));
    await Promise.all(concerned.map(([, { ended }]) => ended));
  }

  /** Writes down what came back since the last time; whether there was anything. When the database fails, it is all kept for the next. */
  async settle(executor: Executor): Promise<boolean> {
    const flights = this.#toSettle;
    if (flights.length === 0) return false;
    // More may come back meanwhile.
    this.#toSettle = [];
    try {
      await this.#writeDown(
        executor,
        flights.flatMap(({ outcome }) => outcome ?? []),
      );
    } catch (error) {
      this.#toSettle.unshift(...flights);
      throw error;
    }
    for (const flight of flights) this.close(flight);
    return true;
  }

  async #writeDown(executor: Executor, outcomes: readonly Delivered[]): Promise<void> {
    const done = outcomes.flatMap((outcome) => outcome.done);
    const recovered = outcomes.flatMap((outcome) => outcome.recovered);
    const failures = outcomes.flatMap((outcome) => outcome.failures);
    if (done.length > 0) await removeDeliveries(executor, done);
    const left = this.left(outcomes);
    // Its lanes send nothing of the goal meanwhile, so nobody is told again before this is written down.
    if (left.length > 0) await forgetTold(executor, left);
    if (recovered.length > 0) await forgetFailures(executor, recovered);
    if (failures.length > 0) await noteFailures(executor, failures);
  }
}

/** Resolves when all have been answered, or the time is over. */
async function answersOf(flights: readonly Flight[], withinMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, withinMs)));
  await Promise.race([over, Promise.all(flights.map((flight) => flight.answered))]);
  clearTimeout(timer);
}

/** Answers that come one after the other are waited for so many times the patience: else many slow streams would hold up a quick one. */
const longestRow = 4;

/**
 * Resolves when all have been answered, or when for so long none of the others was, or all that followed the first took too long together.
 * What keeps all waiting is the machine or the net; a stream is late when it is behind the rest.
 */
export async function answersInARow(flights: readonly Flight[], patienceMs: number): Promise<void> {
  let waiting = flights.filter((flight) => flight.outcome === undefined);
  let overAt = Infinity;
  for (let before = Infinity; waiting.length > 0 && waiting.length < before && performance.now() < overAt;) {
    before = waiting.length;
    await nextAnswer(waiting, patienceMs);
    waiting = waiting.filter((flight) => flight.outcome === undefined);
    if (waiting.length < flights.length) overAt = Math.min(overAt, performance.now() + longestRow * patienceMs);
  }
}

async function nextAnswer(flights: readonly Flight[], patienceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, patienceMs)));
  await Promise.race([over, ...flights.map((flight) => flight.answered)]);
  clearTimeout(timer);
  // What arrived while this process was busy is heard of before it counts as late.
  await letOthersRun();
}

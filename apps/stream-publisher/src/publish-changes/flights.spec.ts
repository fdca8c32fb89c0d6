import { answersInARow, Flights, type Flight } from './flights.js';
import { GoalFlow } from './goal-flow.js';
import { heldLanes } from './held-lanes.js';
import type { Delivered } from './goal-sender.js';

const nothing: Delivered = { done: [], recovered: [], left: [], failures: [] };
const longMs = 600_000;

function launch(flights: Flights): { readonly flight: Flight; readonly answer: () => void } {
  let answer: () => void = () => undefined;
  const delivered = new Promise<Delivered>((resolve) => (answer = () => resolve(nothing)));
  return { flight: flights.launch([], new GoalFlow(500), delivered), answer };
}

describe('answersInARow', () => {
  it('waits as long as one answer follows the other', async () => {
    const launched = [1, 2, 3].map(() => launch(new Flights(() => heldLanes(new Map(), 0, 1))));
    const all = answersInARow(
      launched.map(({ flight }) => flight),
      longMs,
    );
    for (const { answer } of launched) answer();
    await all;
    expect(launched.every(({ flight }) => flight.outcome !== undefined)).toBe(true);
  });

  it('goes on without one that is behind the rest', async () => {
    const [quick, hanging] = [
      launch(new Flights(() => heldLanes(new Map(), 0, 1))),
      launch(new Flights(() => heldLanes(new Map(), 0, 1))),
    ];
    quick.answer();
    await answersInARow([quick.flight, hanging.flight], 1);
    expect(quick.flight.outcome).toBe(nothing);
    expect(hanging.flight.outcome).toBeUndefined();
  });

  it('does not go on for ever because one slow answer follows the other', async () => {
    const launched = Array.from({ length: 1000 }, () => launch(new Flights(() => heldLanes(new Map(), 0, 1))));
    let next = 0;
    const timer = setInterval(() => launched[next++]?.answer(), 5);
    await answersInARow(
      launched.map(({ flight }) => flight),
      100,
    );
    clearInterval(timer);
    expect(launched.at(-1)?.flight.outcome).toBeUndefined();
  });
});

describe('Flights', () => {
  it('keep a goal busy until what became of it is written down', async () => {
    const flights = new Flights(() => heldLanes(new Map(), 0, 1));
    const { flight, answer } = launch(flights);
    let announced = (): void => undefined;
    const answered = new Promise<void>((resolve) => (announced = resolve));
    flights.settleLater(flight, announced);
    answer();
    await answered;
    expect([flight.flow.busy, flights.size]).toEqual([true, 1]);
    flights.close(flight);
    expect([flight.flow.busy, flights.size]).toEqual([false, 0]);
  });
});

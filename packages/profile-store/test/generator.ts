export interface Generator {
  /** 0 .. below-1 */
  integer(below: number): number;
  chance(probability: number): boolean;
  pick<T>(values: readonly T[]): T;
  /** At least `least` of the values, in their order. */
  some<T>(values: readonly T[], least: number): readonly T[];
}

/** Repeatable: the same seed gives the same choices (mulberry32). */
export function generator(seed: number): Generator {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const integer = (below: number): number => Math.floor(next() * below);
  const chance = (probability: number): boolean => next() < probability;
  const pick = <T>(values: readonly T[]): T => values[integer(values.length)]!;
  return {
    integer,
    chance,
    pick,
    some: (values, least) => {
      for (;;) {
        const chosen = values.filter(() => chance(0.5));
        if (chosen.length >= least) return chosen;
      }
    },
  };
}

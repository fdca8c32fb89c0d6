/** What is wrong with a field of a goal, and what to do about it. */
export interface Complaint {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Collects everything that is wrong, so that a person can mend it all at once. */
export class Complaints {
  readonly #found: Complaint[] = [];

  add(path: readonly (string | number)[], message: string): void {
    this.#found.push({ path, message });
  }

  get all(): readonly Complaint[] {
    return this.#found;
  }
}

/** Positions of the entries whose key already stood further up. */
export function repeatedAt<T>(entries: readonly T[], keyOf: (entry: T) => string): readonly number[] {
  const seen = new Set<string>();
  const repeated: number[] = [];
  entries.forEach((entry, index) => {
    const key = keyOf(entry);
    if (seen.has(key)) repeated.push(index);
    seen.add(key);
  });
  return repeated;
}

export function quoted(name: string): string {
  return JSON.stringify(name);
}

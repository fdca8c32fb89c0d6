import type { Reject } from '../storage/rejects.js';

export interface RejectListOptions {
  /** Stores a batch. */
  readonly store: (rejects: readonly Reject[]) => Promise<void>;
  /** How many are stored; the rest are only counted. */
  readonly maxStored: number;
}

const batchRows = 500;
const batchCharacters = 1024 * 1024;

/** The rejects of one file: all counted, the first `maxStored` stored in batches. */
export class RejectList {
  readonly #options: RejectListOptions;
  #pending: Reject[] = [];
  #pendingCharacters = 0;
  #stored = 0;
  rows = 0;
  fields = 0;

  constructor(options: RejectListOptions) {
    this.#options = options;
  }

  add(reject: Reject): void {
    if (reject.scope === 'row') this.rows += 1;
    else this.fields += 1;
    if (this.#stored + this.#pending.length >= this.#options.maxStored) return;
    this.#pending.push(reject);
    this.#pendingCharacters += reject.raw?.length ?? 0;
  }

  /** More than a batch waits: `flush`. */
  get full(): boolean {
    return this.#pending.length >= batchRows || this.#pendingCharacters >= batchCharacters;
  }

  async flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const batch = this.#pending;
    this.#pending = [];
    this.#pendingCharacters = 0;
    this.#stored += batch.length;
    await this.#options.store(batch);
  }
}

import { TransientError } from '@millrace/domain';

/**
 * So many at once, the others in the order they came. Batches that write the same profiles wait for each other in any case: here they do it
 * without a connection each, so that requests of other kinds always find one, and who came first is served first.
 */
export class Turns {
  readonly #atOnce: number;
  readonly #mayWait: number;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  constructor(options: { readonly atOnce: number; readonly mayWait: number }) {
    this.#atOnce = options.atOnce;
    this.#mayWait = options.mayWait;
  }

  /** @throws TransientError `ingestion-busy` when as many wait already as may */
  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#underWay < this.#atOnce) this.#underWay += 1;
    else {
      if (this.#waiting.length >= this.#mayWait)
        throw new TransientError(
          'ingestion-busy',
          'too many batches are waiting: send this one again, with its batchId',
        );
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay -= 1;
      else next();
    }
  }
}

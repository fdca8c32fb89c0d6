import { Wakeable } from './wakeable.js';

interface RepeatingOptions {
  /** Two runs begin at least so far apart, however often it is woken. */
  readonly minMs: number;
  /** A run begins at least this often. */
  readonly maxMs: number;
  readonly onError: (error: unknown) => void;
}

/** Runs `work` now and again, never twice at once; what it throws is told and tried again. */
export class Repeating {
  readonly #wakeable = new Wakeable();
  readonly #options: RepeatingOptions;
  readonly #work: () => Promise<void>;
  #stopped = false;
  #running: Promise<void> | undefined;

  constructor(options: RepeatingOptions, work: () => Promise<void>) {
    this.#options = options;
    this.#work = work;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  wake(): void {
    this.#wakeable.wake();
  }

  /** Resolves when the run under way has ended; the pause before the next one is cut short. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wakeable.end();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#work();
      } catch (error) {
        this.#options.onError(error);
      }
      if (!this.#stopped) await this.#wakeable.wait(this.#options.minMs, this.#options.maxMs);
    }
  }
}

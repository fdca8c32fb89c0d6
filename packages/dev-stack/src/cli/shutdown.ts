/**
 * Runs the stack's ending once, whoever asks: Ctrl-C, SIGTERM, SIGHUP or the end of the work.
 * A second signal means "now": the watchdog then ends what is left.
 */
export class Shutdown {
  readonly #endings: (() => Promise<void>)[] = [];
  #ending: Promise<void> | undefined;
  /** Aborted as soon as an end is asked for; long waits listen to it. */
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();

  constructor() {
    this.signal = this.#controller.signal;
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        if (this.#ending !== undefined) process.exit(130);
        console.log(`\nstopping (${name === 'SIGINT' ? 'Ctrl-C' : name}); once more stops at once`);
        void this.run().finally(() => process.exit(name === 'SIGINT' ? 130 : 143));
      });
    }
  }

  /** Later ones run first. */
  add(ending: () => Promise<void>): void {
    this.#endings.push(ending);
  }

  get asked(): boolean {
    return this.#ending !== undefined;
  }

  async run(): Promise<void> {
    this.#controller.abort();
    this.#ending ??= this.#runAll();
    await this.#ending;
  }

  async #runAll(): Promise<void> {
    for (const ending of this.#endings.toReversed()) {
      try {
        await ending();
      } catch (error) {
        console.error(`while stopping: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}

/** Never resolves: the signal handlers end the process. Nothing else keeps it alive, for its children are detached. */
export async function stayUp(): Promise<never> {
  setInterval(() => undefined, 60_000);
  return await new Promise<never>(() => undefined);
}

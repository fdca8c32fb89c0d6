/** A wait that others can end early; a wake-up during work is kept for the next wait. */
export class Wakeable {
  #woken = false;
  #end: (() => void) | undefined;

  wake(): void {
    this.#woken = true;
    this.#end?.();
  }

  /** Resolves when woken, but not before `minMs`, and after `maxMs` in any case. */
  async wait(minMs: number, maxMs: number): Promise<void> {
    if (minMs > 0) await new Promise((resolve) => setTimeout(resolve, minMs));
    const leftMs = maxMs - Math.max(0, minMs);
    if (!this.#woken && leftMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#end = undefined;
    }
    this.#woken = false;
  }
}

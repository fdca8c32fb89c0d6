/** A wait that others can end early; a wake-up during work is kept for the next wait. */
export class Wakeable {
  #woken = false;
  #ended = false;
  #cut: (() => void) | undefined;
  #pausing = false;

  wake(): void {
    this.#woken = true;
    if (!this.#pausing) this.#cut?.();
  }

  /** Ends the wait under way, its least time included, and every later one: somebody wants to stop. */
  end(): void {
    this.#ended = true;
    this.#cut?.();
  }

  /** Resolves when woken, but not before `minMs`, and after `maxMs` in any case. */
  async wait(minMs: number, maxMs: number): Promise<void> {
    this.#pausing = true;
    if (minMs > 0) await this.#sleep(minMs);
    this.#pausing = false;
    const leftMs = maxMs - Math.max(0, minMs);
    if (!this.#woken && leftMs > 0) await this.#sleep(leftMs);
    this.#woken = false;
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#cut = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#cut = undefined;
  }
}

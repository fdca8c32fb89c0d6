/**
 * Buffers of one upload, used again and again: a fresh 8 MiB per part would leave the garbage collector far behind.
 * Memory is only reserved when allocated, so a small object costs what it fills and no more.
 */
export class PartBuffers {
  #free: Buffer[] = [];

  take(bytes: number): Buffer {
    const free = this.#free.pop();
    // A different size means that parts have begun to grow: the smaller buffers are of no more use.
    return free?.length === bytes ? free : Buffer.allocUnsafeSlow(bytes);
  }

  giveBack(buffer: Buffer): void {
    this.#free.push(buffer);
  }
}

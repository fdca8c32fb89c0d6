import type { CopiedRows } from '@millrace/database';
import type { Charset } from '@millrace/domain';

/** Of each file. */
export interface FileLimits {
  readonly rows: number;
  /** In the file's charset, header included; undefined: any number. */
  readonly bytes: number | undefined;
}

/**
 * Puts rows into files and cuts between rows. Take `next` until it is undefined, and read each file's `body` to its end
 * before. There is always a first file; a row that is larger than the limit has a file of its own.
 */
export class FileCutter {
  readonly #source: AsyncIterator<CopiedRows>;
  readonly #limits: FileLimits | undefined;
  readonly #header: Buffer;
  readonly #sizeOf: (rows: Buffer) => number;
  readonly #headBytes: number;
  readonly #isConsumed: boolean;
  #rows: CopiedRows = { bytes: Buffer.alloc(0), ends: [] };
  /** Rows of these that are in files. */
  #at = 0;
  #begun = false;

  /**
   * Without `limits` there is one file.
   * @param header of every file, in UTF-8
   * @param isConsumed who takes a chunk of a body has no more need of the one before: its buffer goes back to the source
   */
  constructor(
    source: AsyncIterable<CopiedRows>,
    limits: FileLimits | undefined,
    header: Buffer,
    charset: Charset,
    isConsumed = false,
  ) {
    this.#source = source[Symbol.asyncIterator]();
    this.#limits = limits;
    this.#header = header;
    this.#sizeOf = sizeIn(charset);
    this.#headBytes = this.#sizeOf(header) + (markBytes[charset] ?? 0);
    this.#isConsumed = isConsumed;
  }

  async next(): Promise<CutFile | undefined> {
    if (!(await this.#waiting()) && this.#begun) return undefined;
    this.#begun = true;
    const file: CutFile = { rows: 0, body: () => this.#body(file) };
    return file;
  }

  /** Header and rows, in UTF-8. */
  async *#body(file: CutFile): AsyncGenerator<Buffer> {
    const limits = this.#limits;
    if (this.#header.length > 0) yield this.#header;
    let left: FileLimits | undefined =
      limits?.bytes === undefined ? limits : { ...limits, bytes: limits.bytes - this.#headBytes };
    while (await this.#waiting()) {
      const { bytes, ends } = this.#rows;
      const first = this.#at;
      const fitting = left === undefined ? ends.length - first : this.#fitting(left, file.rows === 0);
      if (fitting === 0) return;
      const start = ends[first - 1] ?? 0;
      this.#at = first + fitting;
      file.rows += fitting;
      const taken = bytes.subarray(start, ends[this.#at - 1]);
      if (left !== undefined) {
        left = {
          rows: left.rows - fitting,
          bytes: left.bytes === undefined ? undefined : left.bytes - this.#sizeOf(taken),
        };
      }
      yield taken;
      if (this.#isConsumed && this.#at === ends.length) this.#rows.release?.();
    }
  }

  /** How many of the rows at hand a file still takes; an empty one takes a first row of any size. */
  #fitting(left: FileLimits, isEmpty: boolean): number {
    const { bytes, ends } = this.#rows;
    const most = Math.min(ends.length - this.#at, left.rows);
    if (left.bytes === undefined) return most;
    let used = 0;
    let start = ends[this.#at - 1] ?? 0;
    for (let count = 0; count < most; count += 1) {
      const end = ends[this.#at + count] ?? start;
      used += this.#sizeOf(bytes.subarray(start, end));
      if (used > left.bytes && !(isEmpty && count === 0)) return count;
      start = end;
    }
    return most;
  }

  /** Whether a row waits to be put into a file; reads on until there is one. */
  async #waiting(): Promise<boolean> {
    while (this.#at >= this.#rows.ends.length) {
      const { value, done } = await this.#source.next();
      if (done === true) return false;
      this.#rows = value;
      this.#at = 0;
    }
    return true;
  }
}

export interface CutFile {
  /** In it so far. */
  rows: number;
  readonly body: () => AsyncIterable<Buffer>;
}

const markBytes: Readonly<Partial<Record<Charset, number>>> = { 'utf-8-bom': 3, 'utf-16le': 2, 'utf-16be': 2 };

/** What text in UTF-8 takes in a charset. */
function sizeIn(charset: Charset): (text: Buffer) => number {
  switch (charset) {
    case 'utf-8':
    case 'utf-8-bom':
      return (text) => text.length;
    case 'utf-16le':
    case 'utf-16be':
      return (text) => text.toString('utf8').length * 2;
    case 'iso-8859-1':
    case 'windows-1252':
      return (text) => [...text.toString('utf8')].length;
  }
}

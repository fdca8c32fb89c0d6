import { Readable } from 'node:stream';
import type pg from 'pg';

/** Whole rows as COPY formats them, one behind the other. */
export interface CopiedRows {
  readonly bytes: Buffer;
  /** Where each row ends in `bytes`. */
  readonly ends: readonly number[];
  /** Gives `bytes` back, to be written over; whoever keeps them does not call it. Absent: nobody waits for them. */
  readonly release?: () => void;
}

/** COPY ... TO STDOUT, many rows at a time. */
export type CopyOut = Readable & AsyncIterable<CopiedRows>;

// https://www.postgresql.org/docs/current/protocol-message-formats.html
const copyOutResponse = 0x48;
const copyData = 0x64;
const copyDone = 0x63;
const parameterStatus = 0x53;
const noticeResponse = 0x4e;
const notificationResponse = 0x41;
const passedOver: ReadonlySet<number> = new Set([
  copyOutResponse,
  parameterStatus,
  noticeResponse,
  notificationResponse,
]);

const headBytes = 5;
const empty = Buffer.alloc(0);
/** Handed out at a time: what follows, compression above all, has a cost per call. */
const chunkBytes = 128 * 1024;

/** What of pg's connection is used; while the COPY lasts it reads the socket itself. */
interface CopyingConnection {
  readonly stream: Readable;
  query(text: string): void;
}

type DataHandler = (data: Buffer) => void;

/**
 * A statement of `pg` that hands out rows. The server sends each row as one message
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY), so where rows end is known without looking into them.
 */
export class CopyOutQuery extends Readable implements pg.Submittable {
  readonly #statement: string;
  #socket: Readable | undefined;
  #pgReads: DataHandler | undefined;
  /** A message whose end has not come yet. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  /** Given back: with a new buffer for each chunk, V8 collects its whole heap every half a second. */
  readonly #free: Buffer[] = [];
  #rows: Buffer = Buffer.allocUnsafe(chunkBytes);
  #used = 0;
  #ends: number[] = [];
  #wanted = false;
  #reading = false;

  constructor(statement: string) {
    super({ objectMode: true, highWaterMark: 4 });
    this.#statement = statement;
  }

  submit(connection: unknown): void {
    const copying = connection as CopyingConnection;
    const { stream } = copying;
    const [pgReads, ...others] = stream.listeners('data');
    if (pgReads === undefined || others.length > 0) throw new Error('the connection is not read by pg alone');
    this.#socket = stream;
    this.#pgReads = pgReads as DataHandler;
    stream.removeListener('data', this.#pgReads);
    stream.pause();
    stream.on('readable', this.#onReadable);
    copying.query(this.#statement);
  }

  override _read(): void {
    this.#wanted = true;
    this.#readOn();
  }

  handleError(error: Error): void {
    this.destroy(error);
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {}

  readonly #onReadable = (): void => this.#readOn();

  #readOn(): void {
    if (this.#reading) return;
    this.#reading = true;
    let data: Buffer | null;
    while (this.#wanted && this.#socket !== undefined && (data = this.#socket.read() as Buffer | null) !== null)
      this.#take(data);
    this.#reading = false;
  }

  #take(data: Buffer): void {
    let bytes = data;
    // Only the message that began before is put together: joining all that came with it would copy every byte once more.
    while (this.#begunBytes > 0) {
      const missing = this.#messageBytes() - this.#begunBytes;
      this.#begun.push(bytes.subarray(0, missing));
      this.#begunBytes += Math.min(missing, bytes.length);
      bytes = bytes.subarray(missing);
      if (this.#begunBytes < this.#messageBytes()) {
        if (bytes.length === 0) return;
        continue;
      }
      const message = Buffer.concat(this.#begun, this.#begunBytes);
      this.#begun = [];
      this.#begunBytes = 0;
      if (this.#read(message, bytes)) return;
    }
    this.#read(bytes, empty);
  }

  /** Reads messages, and keeps what has begun; true: the end has come, and pg has what is left, `more` included. */
  #read(bytes: Buffer, more: Buffer): boolean {
    let at = 0;
    while (bytes.length - at >= headBytes) {
      const code = bytes[at] as number;
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (code !== copyData && !passedOver.has(code)) {
        // The end, or an error: from here on pg reads again.
        const unread = bytes.subarray(code === copyDone ? end : at);
        this.#end(more.length === 0 ? unread : Buffer.concat([unread, more]), code === copyDone);
        return true;
      }
      if (end > bytes.length) break;
      if (code === copyData) this.#add(bytes, at + headBytes, end);
      at = end;
    }
    if (at < bytes.length) {
      this.#begun.push(bytes.subarray(at));
      this.#begunBytes = bytes.length - at;
    }
    return false;
  }

  /** Of the message that has begun; only its head while that has not come. */
  #messageBytes(): number {
    if (this.#begunBytes < headBytes) return headBytes;
    if ((this.#begun[0]?.length ?? 0) < headBytes) this.#begun = [Buffer.concat(this.#begun, this.#begunBytes)];
    return 1 + (this.#begun[0]?.readUInt32BE(1) ?? 0);
  }

  #add(from: Buffer, start: number, end: number): void {
    const length = end - start;
    if (this.#used + length > this.#rows.length) {
      this.#handOut();
      if (length > this.#rows.length) this.#rows = Buffer.allocUnsafe(length);
    }
    from.copy(this.#rows, this.#used, start, end);
    this.#used += length;
    this.#ends.push(this.#used);
  }

  #handOut(): void {
    if (this.#ends.length === 0) return;
    const buffer = this.#rows;
    const rows: CopiedRows = {
      bytes: buffer.subarray(0, this.#used),
      ends: this.#ends,
      release: () => {
        if (buffer.length === chunkBytes) this.#free.push(buffer);
      },
    };
    this.#rows = this.#free.pop() ?? Buffer.allocUnsafe(chunkBytes);
    this.#used = 0;
    this.#ends = [];
    this.#wanted = this.push(rows);
  }

  #end(unread: Buffer, ended: boolean): void {
    const [socket, pgReads] = [this.#socket, this.#pgReads];
    this.#socket = undefined;
    if (socket === undefined || pgReads === undefined) return;
    socket.removeListener('readable', this.#onReadable);
    socket.on('data', pgReads);
    if (ended) {
      this.#handOut();
      this.push(null);
    }
    pgReads(unread);
    // Removing the listener above may have paused the socket.
    process.nextTick(() => socket.resume());
  }
}

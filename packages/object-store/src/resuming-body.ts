import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { types } from 'node:util';
import { backoffMs, type RetryPolicy } from '@millrace/aws-client';
import { TransientError } from '@millrace/domain';

export interface OpenBody {
  readonly body: Readable;
  /** Bytes this body will deliver. */
  readonly length: number;
}

export interface ResumingBodyOptions {
  /** Asks for the rest of the same object; retries by itself, and throws when it is of no use to ask again. */
  readonly reopen: (offset: number, signal: AbortSignal) => Promise<OpenBody>;
  readonly retry: RetryPolicy;
  /** For messages: `s3://bucket/key`. */
  readonly name: string;
}

/** A connection that breaks again and again, but brings this much in between, is worth mending for ever. */
const progressBytes = 64 * 1024;

/**
 * A response body that survives its connection. A body that ends early, errs or is closed is replaced by another one
 * from the byte where it stopped; after `retry.attempts` breaks without progress the stream fails.
 */
export class ResumingBody extends Readable {
  readonly #options: ResumingBodyOptions;
  readonly #stopped = new AbortController();
  #position: number;
  readonly #end: number;
  #body: Readable | undefined;
  /** The consumer waits for bytes. A connection that breaks while nobody reads is mended when somebody does. */
  #wanted = false;
  #brokenBy: { readonly cause: Error | undefined } | undefined;
  #breaks = 0;
  #positionAtBreak: number;

  constructor(first: OpenBody, offset: number, options: ResumingBodyOptions) {
    super({ highWaterMark: 256 * 1024 });
    this.#options = options;
    this.#position = offset;
    this.#positionAtBreak = offset;
    this.#end = offset + first.length;
    this.#attach(first.body);
  }

  override _read(): void {
    this.#wanted = true;
    if (this.#brokenBy === undefined) this.#body?.resume();
    else this.#mend();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#stopped.abort();
    this.#body?.destroy();
    this.#body = undefined;
    callback(error);
  }

  #attach(body: Readable): void {
    this.#body = body;
    body.pause();
    body.on('data', (chunk: Buffer) => {
      if (body !== this.#body) return;
      this.#position += chunk.length;
      this.#wanted = this.push(chunk);
      if (!this.#wanted) body.pause();
    });
    body.on('error', (error) => this.#broken(body, error));
    body.on('close', () => this.#broken(body, undefined));
    body.on('end', () => this.#broken(body, undefined));
  }

  #broken(body: Readable, cause: Error | undefined): void {
    if (body !== this.#body || this.destroyed) return;
    this.#body = undefined;
    if (this.#position === this.#end) {
      this.push(null);
      return;
    }
    body.destroy();
    this.#breaks = this.#position - this.#positionAtBreak >= progressBytes ? 1 : this.#breaks + 1;
    this.#positionAtBreak = this.#position;
    this.#brokenBy = { cause };
    if (this.#wanted) this.#mend();
  }

  #mend(): void {
    const cause = this.#brokenBy?.cause;
    this.#brokenBy = undefined;
    this.#continue(cause).then(
      (body) => {
        if (this.destroyed) {
          body.destroy();
          return;
        }
        this.#attach(body);
        body.resume();
      },
      (error: unknown) => {
        this.destroy(types.isNativeError(error) ? error : new Error('reading failed', { cause: error }));
      },
    );
  }

  async #continue(cause: Error | undefined): Promise<Readable> {
    const { retry, reopen } = this.#options;
    const { signal } = this.#stopped;
    if (this.#breaks >= retry.attempts) {
      throw this.#unavailable(
        `the connection broke ${this.#breaks} times at byte ${this.#position} of ${this.#end}`,
        cause,
      );
    }
    await sleep(backoffMs(retry, this.#breaks, false), undefined, { signal });
    const rest = await reopen(this.#position, signal);
    if (this.#position + rest.length === this.#end) return rest.body;
    rest.body.destroy();
    throw this.#unavailable(`asked for the bytes from ${this.#position} to ${this.#end}, got ${rest.length}`, cause);
  }

  #unavailable(what: string, cause: Error | undefined): TransientError {
    const { name } = this.#options;
    return new TransientError('object-store-unavailable', `reading ${name}: ${what}`, { at: name, cause });
  }
}

import type { Response } from 'express';
import type { RunView } from './run-views.js';

const heartbeatMs = 15_000;

/**
 * Server-sent events of one run: https://html.spec.whatwg.org/multipage/server-sent-events.html. Every event is the whole run and its
 * id the run's revision, so that resuming needs no memory of what was sent. A slow reader gets the newest state, never a backlog.
 */
export class RunEventStream {
  readonly #response: Response;
  readonly #heartbeat: NodeJS.Timeout;
  #waiting: RunView | undefined;
  #ending = false;

  constructor(response: Response, options: { readonly heartbeatMs?: number } = {}) {
    this.#response = response;
    response.status(200).set({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    response.write('retry: 2000\n\n');
    response.on('drain', () => this.#drained());
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs ?? heartbeatMs);
    this.#heartbeat.unref();
    response.on('close', () => clearInterval(this.#heartbeat));
  }

  send(run: RunView): void {
    if (this.#response.writableNeedDrain) this.#waiting = run;
    else this.#response.write(`id: ${run.revision}\nevent: run\ndata: ${JSON.stringify(run)}\n\n`);
  }

  /** After what waits has been sent. */
  end(): void {
    this.#ending = true;
    if (this.#waiting === undefined) this.#finish();
  }

  #drained(): void {
    const run = this.#waiting;
    this.#waiting = undefined;
    if (run !== undefined) this.send(run);
    if (this.#ending && this.#waiting === undefined) this.#finish();
  }

  #finish(): void {
    clearInterval(this.#heartbeat);
    this.#response.end();
  }

  // A comment: keeps proxies from closing a quiet connection.
  #beat(): void {
    if (!this.#response.writableNeedDrain) this.#response.write(': heartbeat\n\n');
  }
}

import type { z } from 'zod';
import { wakeUps as wakeUpSchemas, type QueueName } from '@millrace/domain';
import type { Log } from './log.js';
import { repeat } from './repeat.js';

export type WakeUp<Q extends QueueName> = z.infer<(typeof wakeUpSchemas)[Q]>;
export type PlainQueue = 'stream-lane' | 'run-event';

/**
 * Messages that say "look now". They may be lost, doubled or late: whoever listens also sweeps.
 */
export interface WakeUps {
  /** After the commit that made the work, never inside a transaction. Without Redis the message is dropped; rejects only for a payload of a wrong form. */
  wake<Q extends QueueName>(queue: Q, payload: WakeUp<Q>): Promise<void>;
  /** Calls `listener` on each message of a queue this process consumes. Returns a function that ends it. */
  onWakeUp(queue: QueueName, listener: () => Promise<void> | void): () => void;
}

/** Listeners by queue; a failing one is logged. */
export class WakeUpListeners {
  readonly #listeners = new Map<QueueName, Set<() => Promise<void> | void>>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  add(queue: QueueName, listener: () => Promise<void> | void): () => void {
    const listeners = this.#listeners.get(queue) ?? new Set();
    this.#listeners.set(queue, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  async tell(queue: QueueName): Promise<void> {
    await Promise.all(
      [...(this.#listeners.get(queue) ?? [])].map(async (listener) => {
        try {
          await listener();
        } catch (error) {
          this.#log.warn({ err: error, queue }, 'acting on a wake-up failed: the sweep tries again');
        }
      }),
    );
  }
}

/** Wake-ups inside one process, without Redis: for tests and tools. */
export function createMemoryWakeUps(log: Log = silent): WakeUps {
  const listeners = new WakeUpListeners(log);
  return {
    async wake(queue, payload) {
      wakeUpSchemas[queue].parse(payload);
      setImmediate(() => void listeners.tell(queue));
    },
    onWakeUp: (queue, listener) => listeners.add(queue, listener),
  };
}

const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

export interface Consumer {
  /** Resolves when a run that was under way has ended. */
  stop(): Promise<void>;
}

/**
 * Runs `handler` at once, on every wake-up of a plain queue, and at least every `sweepMs` (default 2000), never twice at once:
 * wake-ups that come during a run lead to one more run. What it throws is logged and tried again at the next sweep.
 */
export function consumeWakeUps(
  wakeUps: WakeUps,
  queue: PlainQueue,
  handler: () => Promise<void>,
  options: { readonly log: Log; readonly sweepMs?: number },
): Consumer {
  const repeating = repeat(
    { name: `handling ${queue}`, intervalMs: options.sweepMs ?? 2000, log: options.log },
    handler,
  );
  // Not awaited: the message is done with as soon as the run is certain.
  const unsubscribe = wakeUps.onWakeUp(queue, () => void repeating.now());
  void repeating.now();
  return {
    async stop() {
      unsubscribe();
      await repeating.stop();
    },
  };
}

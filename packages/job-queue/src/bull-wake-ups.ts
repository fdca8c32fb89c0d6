import type { Job, Queue } from 'bull';
import { wakeUps as wakeUpSchemas, type QueueName } from '@millrace/domain';
import type { Log } from './log.js';
import { WakeUpListeners, type WakeUp, type WakeUps } from './wake-ups.js';

// More waiting than this means that nobody listens, or somebody is about to look anyway.
const maxPlainWaiting = 100;
// Writers commit thousands of times a second; one message in this time is enough.
const plainIntervalMs = 20;
const addTimeoutMs = 1000;

interface PlainState {
  timer: NodeJS.Timeout | undefined;
  again: boolean;
}

/** Wake-ups over Bull queues. Redis may come and go: without it messages are dropped and said so once. */
export class BullWakeUps implements WakeUps {
  readonly #queues: ReadonlyMap<QueueName, Queue>;
  readonly #listeners: WakeUpListeners;
  readonly #log: Log;
  readonly #plain = new Map<QueueName, PlainState>();
  #reachable = true;

  constructor(queues: ReadonlyMap<QueueName, Queue>, log: Log) {
    this.#queues = queues;
    this.#log = log;
    this.#listeners = new WakeUpListeners(log);
    for (const queue of queues.values()) {
      queue.on('error', (error: Error) => this.#onError(error));
      queue.client.on('ready', () => this.#onReady());
    }
  }

  async wake<Q extends QueueName>(queue: Q, payload: WakeUp<Q>): Promise<void> {
    const message = wakeUpSchemas[queue].parse(payload);
    if (queue !== 'stream-lane' && queue !== 'run-event') return await this.#add(queue, message);
    const state = this.#plain.get(queue) ?? { timer: undefined, again: false };
    this.#plain.set(queue, state);
    if (state.timer !== undefined) {
      state.again = true;
      return;
    }
    this.#pause(queue, message, state);
    await this.#add(queue, message);
  }

  onWakeUp(queue: QueueName, listener: () => Promise<void> | void): () => void {
    return this.#listeners.add(queue, listener);
  }

  /** A message arrived. One of an unknown version comes from a newer service: the sweep finds its work. */
  async receive(queue: QueueName, job: Pick<Job, 'data'>): Promise<void> {
    const parsed = wakeUpSchemas[queue].safeParse(job.data);
    if (parsed.success) await this.#listeners.tell(queue);
    else this.#log.warn({ queue }, 'a wake-up of an unknown form is ignored');
  }

  /** Some process of this queue gets each plain message; this tells all the others. */
  async overheard(queue: QueueName): Promise<void> {
    await this.#listeners.tell(queue);
  }

  close(): void {
    for (const state of this.#plain.values()) clearTimeout(state.timer);
  }

  // The first message goes out at once, and one more at the end of the interval if others came in it.
  #pause(queue: QueueName, message: object, state: PlainState): void {
    state.timer = setTimeout(() => {
      state.timer = undefined;
      if (!state.again) return;
      state.again = false;
      this.#pause(queue, message, state);
      void this.#add(queue, message, maxPlainWaiting);
    }, plainIntervalMs);
    state.timer.unref();
  }

  async #add(name: QueueName, message: object, maxWaiting?: number): Promise<void> {
    const queue = this.#queues.get(name);
    if (queue === undefined) {
      this.#log.error({ queue: name }, 'a wake-up is dropped: its queue is not among `wakes` of JobQueueModule');
      return;
    }
    // Commands given while Redis is away would pile up in memory.
    if (queue.client.status !== 'ready') return;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, addTimeoutMs)));
    const adding = (async () => {
      if (maxWaiting !== undefined && (await queue.getWaitingCount()) > maxWaiting) return;
      await queue.add(message, { attempts: 1, removeOnComplete: true, removeOnFail: true });
    })().catch((error: unknown) => this.#onError(error));
    await Promise.race([adding, limit]);
    clearTimeout(timer);
  }

  #onError(error: unknown): void {
    if (!this.#reachable) return;
    this.#reachable = false;
    this.#log.warn({ err: error }, 'Redis cannot be reached: work goes on, found by sweeps instead of wake-ups');
  }

  #onReady(): void {
    if (this.#reachable) return;
    this.#reachable = true;
    this.#log.info({}, 'Redis is reachable again');
  }
}

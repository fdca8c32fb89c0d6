import { BullModule, getQueueToken, Process, Processor, OnGlobalQueueWaiting } from '@nestjs/bull';
import { Module, type DynamicModule, type OnModuleDestroy, type Provider, type Type } from '@nestjs/common';
import type { Job, Queue } from 'bull';
import type { QueueName } from '@millrace/domain';
import { BullWakeUps } from './bull-wake-ups.js';
import type { Log } from './log.js';
import { redisOptions } from './redis-options.js';

/** Injects `WakeUps`. */
export const WAKE_UPS = Symbol('WakeUps');

export interface JobQueueModuleOptions {
  readonly redisUrl: string;
  /** Queues this service wakes others through. */
  readonly wakes?: readonly QueueName[];
  /** Queues this service listens to. */
  readonly consumes?: readonly QueueName[];
  readonly log: Log;
}

/** Bull behind `WakeUps`, for every module of the service. Starts and works without Redis. */
@Module({})
export class JobQueueModule {
  static forRoot(options: JobQueueModuleOptions): DynamicModule {
    const consumes = options.consumes ?? [];
    const names = [...new Set([...(options.wakes ?? []), ...consumes])];
    const processors = consumes.map((queue) => processorOf(queue));
    const wakeUps: Provider = {
      provide: WAKE_UPS,
      inject: names.map((name) => getQueueToken(name)),
      useFactory: (...queues: Queue[]) =>
        new BullWakeUps(new Map(queues.map((queue, index) => [names[index] as QueueName, queue])), options.log),
    };
    return {
      module: JobQueueModule,
      global: true,
      imports: [
        BullModule.registerQueue(
          ...names.map((name) => ({
            name,
            prefix: 'millrace',
            redis: redisOptions(options.redisUrl),
            // A lost lock only repeats a wake-up, which does no harm.
            settings: { lockDuration: 30_000, maxStalledCount: 1, retryProcessDelay: 1000, drainDelay: 5 },
          })),
        ),
      ],
      providers: [wakeUps, ...processors],
      exports: [WAKE_UPS],
    };
  }
}

// A class per queue: @Processor names its queue when the class is made.
function processorOf(queue: QueueName): Provider {
  @Processor(queue)
  class WakeUpProcessor implements OnModuleDestroy {
    constructor(readonly wakeUps: BullWakeUps) {}

    @Process({ concurrency: 1 })
    async process(job: Job): Promise<void> {
      await this.wakeUps.receive(queue, job);
    }

    onModuleDestroy(): void {
      this.wakeUps.close();
    }
  }
  if (queue === 'stream-lane' || queue === 'run-event') overhear(WakeUpProcessor, queue);
  return {
    provide: Symbol(`processor of ${queue}`),
    inject: [WAKE_UPS],
    useFactory: (wakeUps: BullWakeUps) => new WakeUpProcessor(wakeUps),
  };
}

// Bull publishes each new message to every process that listens: all publishers look at their lanes, not only the one that gets it.
function overhear(processor: Type<{ readonly wakeUps: BullWakeUps }>, queue: QueueName): void {
  const method = async function (this: { readonly wakeUps: BullWakeUps }): Promise<void> {
    await this.wakeUps.overheard(queue);
  };
  const descriptor: PropertyDescriptor = { value: method, configurable: true, writable: true };
  Object.defineProperty(processor.prototype, 'overhear', descriptor);
  OnGlobalQueueWaiting()(processor.prototype as object, 'overhear', descriptor);
}

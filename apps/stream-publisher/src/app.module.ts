import {
  Inject,
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { openEndpoint } from '@millrace/crypto';
import { Database, sql } from '@millrace/database';
import { createKinesisEventStream } from '@millrace/event-stream';
import { JobQueueModule, newOwner, WAKE_UPS, type WakeUps } from '@millrace/job-queue';
import { HEALTH, METRICS, SERVICE_TOKEN, type HealthRegistry, type Logger, type Metrics } from '@millrace/service-kit';
import { publisherSettings, type Config } from './config.js';
import { LOOK_DATABASE, LookAtStreamController } from './look-at-stream/look-at-stream.controller.js';
import type { OpenStream } from './publish-changes/goal-registry.js';
import { PublisherEvents } from './publish-changes/publisher.events.js';
import { Publisher } from './publish-changes/publisher.js';

const DATABASES = Symbol('Databases');
const PUBLISHER = Symbol('Publisher');

interface Databases {
  readonly work: Database;
  readonly leases: Database;
  readonly looks: Database;
}

@Module({})
class AppModule implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(PUBLISHER) private readonly publisher: Publisher,
    @Inject(DATABASES) private readonly databases: Databases,
    @Inject(HEALTH) private readonly health: HealthRegistry,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.health.add('database', () => this.databases.work.query(sql`SELECT 1`));
    await this.publisher.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.publisher.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.databases.work.end(), this.databases.leases.end(), this.databases.looks.end()]);
  }
}

/** The service's root module. `openStream` replaces Kinesis in tests. */
export function appModule(
  config: Config,
  log: Logger,
  openStream: OpenStream = kinesis(config.MILLRACE_SEALING_KEY),
): DynamicModule {
  return {
    module: AppModule,
    imports: [JobQueueModule.forRoot({ redisUrl: config.MILLRACE_REDIS_URL, consumes: ['stream-lane'], log })],
    controllers: [LookAtStreamController],
    providers: [
      { provide: SERVICE_TOKEN, useValue: config.MILLRACE_SERVICE_TOKEN },
      { provide: LOOK_DATABASE, inject: [DATABASES], useFactory: ({ looks }: Databases) => looks },
      { provide: DATABASES, useFactory: () => openDatabases(config, log) },
      {
        provide: PUBLISHER,
        inject: [DATABASES, WAKE_UPS, METRICS],
        useFactory: (databases: Databases, wakeUps: WakeUps, metrics: Metrics) =>
          new Publisher({
            database: databases.work,
            leaseDatabase: databases.leases,
            wakeUps,
            openStream,
            events: new PublisherEvents(log, metrics),
            owner: newOwner('stream-publisher'),
            log,
            settings: publisherSettings(config),
          }),
      },
    ],
  };
}

function openDatabases(config: Config, log: Logger): Databases {
  const url = config.MILLRACE_DATABASE_URL;
  const onIdleError = (error: Error): void => log.warn({ err: error }, 'an idle database connection was lost');
  return {
    // One per slot, and one each for commands, backfill, figures and totals.
    work: new Database({
      url,
      applicationName: 'millrace-publisher',
      maxConnections: config.MILLRACE_STREAM_SLOTS + 4,
      onIdleError,
    }),
    leases: new Database({ url, applicationName: 'millrace-publisher-leases', maxConnections: 2, onIdleError }),
    looks: new Database({ url, applicationName: 'millrace-publisher-looks', maxConnections: 2, onIdleError }),
  };
}

function kinesis(sealingKey: Uint8Array): OpenStream {
  return (endpoint, context) => createKinesisEventStream(openEndpoint(endpoint, sealingKey, context));
}

import {
  Inject,
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { Database, sql } from '@millrace/database';
import type { GoalEndpoint } from '@millrace/domain';
import { JobQueueModule, newOwner, WAKE_UPS, type WakeUps } from '@millrace/job-queue';
import { createS3ObjectStore, type ObjectStore } from '@millrace/object-store';
import {
  HEALTH,
  METRICS,
  type HealthRegistry,
  type JsonBodyOptions,
  type Logger,
  type Metrics,
  SERVICE_TOKEN,
} from '@millrace/service-kit';
import { importRetention, importSettings, type Config } from './config.js';
import { createImportEvents } from './import.events.js';
import { ImportWorker } from './run-import/import-worker.js';
import { FixRows } from './fix-rows/fix-rows.js';
import { FixRowsController } from './fix-rows/fix-rows.controller.js';
import { PreviewSource } from './preview-source/preview-source.js';
import { PreviewSourceController } from './preview-source/preview-source.controller.js';
import { ShowRehearsalController } from './show-rejects/show-rehearsal.controller.js';
import { REJECTS_DATABASE, ShowRejectsController } from './show-rejects/show-rejects.controller.js';

const DATABASES = Symbol('Databases');
const WORKER = Symbol('ImportWorker');

interface Databases {
  readonly work: Database;
  readonly leases: Database;
}

/** A corrected reject file comes as it is, and may be large. */
export const jsonBodies: JsonBodyOptions = {
  rules: [{ path: '/fixed-rows/', text: 'text/csv', limitBytes: 32 * 1024 * 1024 }],
};

@Module({})
class AppModule implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(WORKER) private readonly worker: ImportWorker,
    @Inject(DATABASES) private readonly databases: Databases,
    @Inject(HEALTH) private readonly health: HealthRegistry,
  ) {}

  onApplicationBootstrap(): void {
    this.health.add('database', () => this.databases.work.query(sql`SELECT 1`));
    this.worker.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.worker.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.databases.work.end(), this.databases.leases.end()]);
  }
}

/** The service's root module. `openStore` replaces S3 in tests. */
export function appModule(
  config: Config,
  log: Logger,
  openStore: (endpoint: GoalEndpoint) => ObjectStore = createS3ObjectStore,
): DynamicModule {
  return {
    module: AppModule,
    imports: [
      JobQueueModule.forRoot({
        redisUrl: config.MILLRACE_REDIS_URL,
        consumes: ['import-run'],
        wakes: ['stream-lane', 'run-event'],
        log,
      }),
    ],
    controllers: [FixRowsController, PreviewSourceController, ShowRehearsalController, ShowRejectsController],
    providers: [
      { provide: DATABASES, useFactory: () => openDatabases(config, log) },
      { provide: REJECTS_DATABASE, inject: [DATABASES], useFactory: (databases: Databases) => databases.work },
      {
        provide: PreviewSource,
        inject: [DATABASES],
        useFactory: (databases: Databases) =>
          new PreviewSource({ database: databases.work, sealingKey: config.MILLRACE_SEALING_KEY, openStore }),
      },
      {
        provide: FixRows,
        inject: [DATABASES, WAKE_UPS],
        useFactory: (databases: Databases, wakeUps: WakeUps) =>
          new FixRows({ database: databases.work, wakeUps, sealingKey: config.MILLRACE_SEALING_KEY }),
      },
      { provide: SERVICE_TOKEN, useValue: config.MILLRACE_SERVICE_TOKEN },
      {
        provide: WORKER,
        inject: [DATABASES, WAKE_UPS, METRICS],
        useFactory: (databases: Databases, wakeUps: WakeUps, metrics: Metrics) =>
          new ImportWorker({
            database: databases.work,
            leaseDatabase: databases.leases,
            wakeUps,
            events: createImportEvents(log, metrics),
            settings: importSettings(config),
            sealingKey: config.MILLRACE_SEALING_KEY,
            openStore,
            owner: newOwner('importer'),
            runs: config.MILLRACE_IMPORT_RUNS,
            leaseTtlMs: config.MILLRACE_IMPORT_LEASE_MS,
            retention: importRetention(config),
            log,
          }),
      },
    ],
  };
}

function openDatabases(config: Config, log: Logger): Databases {
  const url = config.MILLRACE_DATABASE_URL;
  const onIdleError = (error: Error): void => log.warn({ err: error }, 'an idle database connection was lost');
  // Each import applies with its lanes, or reads with one COPY, one batch of rejects and one progress event; and two for requests.
  const perRun = Math.max(config.MILLRACE_IMPORT_LANES, 3);
  return {
    work: new Database({
      url,
      applicationName: 'millrace-importer',
      maxConnections: config.MILLRACE_IMPORT_RUNS * perRun + 2,
      onIdleError,
    }),
    leases: new Database({ url, applicationName: 'millrace-importer-leases', maxConnections: 2, onIdleError }),
  };
}

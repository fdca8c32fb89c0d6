import {
  type BeforeApplicationShutdown,
  type DynamicModule,
  Inject,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { derivePseudonymKey, openEndpoint } from '@millrace/crypto';
import { Database, sql } from '@millrace/database';
import type { GoalSnapshot } from '@millrace/domain';
import {
  JobQueueModule,
  newOwner,
  type Unit,
  type UnitEnd,
  UnitWorker,
  WAKE_UPS,
  type WakeUps,
} from '@millrace/job-queue';
import { createS3ObjectStore } from '@millrace/object-store';
import { HEALTH, type HealthRegistry, type Logger, METRICS, type Metrics, SERVICE_TOKEN } from '@millrace/service-kit';
import type { Config } from './config.js';
import { AbandonedSweep } from './finish-export/sweep-abandoned.js';
import {
  PREVIEW_DATABASE,
  PreviewExportController,
  PSEUDONYM_KEY,
} from './preview-export/preview-export.controller.js';
import { cleanUp, refusesCancel } from './run-export/clean-up.js';
import { createExportEvents } from './run-export/export.events.js';
import type { Exporter, ExportTarget } from './run-export/exporter.js';
import { runExport } from './run-export/run-export.js';
import { receiverSeals } from './storage/receiver-seals.js';
import { writePart } from './write-part/write-part.js';

const DATABASE = Symbol('Database');
const REPLICA = Symbol('ReplicaDatabase');
const QUEUE_DATABASE = Symbol('QueueDatabase');
const EXPORTER = Symbol('Exporter');
const WORKERS = Symbol('UnitWorkers');
const SWEEP = Symbol('AbandonedSweep');

/** Exports planned or finished at once; one that waits for its parts is not among them. */
const runsAtOnce = 4;

@Module({})
export class AppModule implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #workers: readonly UnitWorker[];
  readonly #sweep: AbandonedSweep;
  readonly #databases: readonly Database[];

  constructor(
    @Inject(WORKERS) workers: readonly UnitWorker[],
    @Inject(SWEEP) sweep: AbandonedSweep,
    @Inject(DATABASE) database: Database,
    @Inject(QUEUE_DATABASE) queueDatabase: Database,
    @Inject(PREVIEW_DATABASE) previewDatabase: Database,
    @Inject(REPLICA) replica: Database | undefined,
  ) {
    this.#workers = workers;
    this.#sweep = sweep;
    this.#databases = [database, queueDatabase, previewDatabase, ...(replica === undefined ? [] : [replica])];
  }

  static with(config: Config, logger: Logger): DynamicModule {
    const url = config.MILLRACE_DATABASE_URL;
    const parts = config.MILLRACE_EXPORT_PARTS;
    const pseudonymKey = (workspaceId: number): Uint8Array =>
      derivePseudonymKey(config.MILLRACE_SEALING_KEY, workspaceId);
    const onIdleError = (error: Error): void => logger.warn({ err: error }, 'an idle database connection was lost');
    return {
      module: AppModule,
      imports: [
        JobQueueModule.forRoot({
          redisUrl: config.MILLRACE_REDIS_URL,
          wakes: ['export-run', 'export-part', 'run-event'],
          consumes: ['export-run', 'export-part'],
          log: logger,
        }),
      ],
      controllers: [PreviewExportController],
      providers: [
        { provide: SERVICE_TOKEN, useValue: config.MILLRACE_SERVICE_TOKEN },
        { provide: PSEUDONYM_KEY, useValue: pseudonymKey },
        {
          provide: PREVIEW_DATABASE,
          useFactory: () =>
            new Database({ url, applicationName: 'batch-exporter-preview', maxConnections: 2, onIdleError }),
        },
        {
          // For each part its COPY and, beside it, its progress and state; for each run one.
          provide: DATABASE,
          useFactory: () =>
            new Database({
              url,
              applicationName: 'batch-exporter',
              maxConnections: 2 * parts + runsAtOnce,
              onIdleError,
            }),
        },
        {
          provide: QUEUE_DATABASE,
          useFactory: () =>
            new Database({ url, applicationName: 'batch-exporter-queue', maxConnections: 2, onIdleError }),
        },
        {
          provide: REPLICA,
          useFactory: () =>
            config.MILLRACE_REPLICA_DATABASE_URL === undefined
              ? undefined
              : new Database({
                  url: config.MILLRACE_REPLICA_DATABASE_URL,
                  applicationName: 'batch-exporter-replica',
                  // For each part its COPY, and beside it how far that is.
                  maxConnections: 2 * parts,
                  onIdleError,
                }),
        },
        {
          provide: EXPORTER,
          inject: [DATABASE, REPLICA, WAKE_UPS, METRICS],
          useFactory: (
            database: Database,
            replica: Database | undefined,
            wakeUps: WakeUps,
            metrics: Metrics,
          ): Exporter => ({
            database,
            replica,
            wakeUps,
            openTarget: (snapshot) => openTarget(snapshot, config.MILLRACE_SEALING_KEY),
            events: createExportEvents(logger, metrics),
            pseudonymKey,
            seals: receiverSeals(config.MILLRACE_SEALING_KEY),
          }),
        },
        {
          provide: WORKERS,
          inject: [EXPORTER, QUEUE_DATABASE, WAKE_UPS, HEALTH],
          useFactory: (
            exporter: Exporter,
            database: Database,
            wakeUps: WakeUps,
            health: HealthRegistry,
          ): readonly UnitWorker[] => {
            health.add('database', () => exporter.database.query(sql`SELECT 1`));
            const common = {
              database,
              wakeUps,
              log: logger,
              leaseTtlMs: config.MILLRACE_EXPORT_LEASE_MS,
              cleanUp: (unit: Unit, end: UnitEnd) => cleanUp(exporter, unit, end),
              refusesCancel: (unit: Unit) => refusesCancel(exporter, unit),
            };
            return [
              new UnitWorker({
                ...common,
                queues: ['export-run'],
                handler: runExport(exporter),
                concurrency: runsAtOnce,
                sweepMs: 1000,
                owner: newOwner('batch-exporter-run'),
              }),
              new UnitWorker({
                ...common,
                queues: ['export-part'],
                handler: writePart(exporter),
                concurrency: parts,
                owner: newOwner('batch-exporter-part'),
              }),
            ];
          },
        },
        {
          provide: SWEEP,
          inject: [EXPORTER],
          useFactory: (exporter: Exporter) =>
            new AbandonedSweep(exporter, {
              exportDays: config.MILLRACE_EXPORT_KEEP_DAYS,
              watermarkDays: config.MILLRACE_EXPORT_WATERMARK_DAYS,
            }),
        },
      ],
    };
  }

  onApplicationBootstrap(): void {
    for (const worker of this.#workers) worker.start();
    this.#sweep.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([...this.#workers.map((worker) => worker.stop()), this.#sweep.stop()]);
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.#databases.map((database) => database.end()));
  }
}

function openTarget({ endpoint, workspaceId, connectionId }: GoalSnapshot, sealingKey: Uint8Array): ExportTarget {
  const opened = openEndpoint(endpoint, sealingKey, { workspaceId, connectionId });
  return { endpoint: opened, store: createS3ObjectStore(opened) };
}

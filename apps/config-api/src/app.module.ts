import type { Database } from '@millrace/database';
import type { Connection } from '@millrace/domain';
import { createKinesisEventStream } from '@millrace/event-stream';
import { JobQueueModule, WAKE_UPS, type WakeUps } from '@millrace/job-queue';
import { createS3ObjectStore } from '@millrace/object-store';
import { METRICS, type JsonBodyOptions, type Logger, type Metrics } from '@millrace/service-kit';
import {
  Inject,
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationBootstrap,
  type Provider,
} from '@nestjs/common';
import { parse } from 'lossless-json';
import { askImporter, type AskImporter } from './ask-importer/ask-importer.js';
import { AccessModule } from './access/access.module.js';
import { ApiKeyController } from './access/api-key.controller.js';
import type { Config } from './config.js';
import { DescribeApiModule } from './describe-api/describe-api.module.js';
import { checkGoals } from './govern/check-goals.js';
import { GovernController } from './govern/govern.controller.js';
import { ManageGovernance } from './govern/manage-governance.js';
import { IngestUpdates } from './ingest-updates/ingest-updates.js';
import { IngestionController } from './ingest-updates/ingestion.controller.js';
import { AlertController } from './manage-alerts/alert.controller.js';
import { ManageAlerts } from './manage-alerts/manage-alerts.js';
import { ConnectionAccessController } from './manage-connections/connection-access.controller.js';
import { ConnectionController } from './manage-connections/connection.controller.js';
import { ManageConnections } from './manage-connections/manage-connections.js';
import type { Drivers } from './manage-connections/try-connection.js';
import { GoalController } from './manage-goals/goal.controller.js';
import { ManageGoals } from './manage-goals/manage-goals.js';
import { DomainGroupController } from './manage-schema/domain-group.controller.js';
import { GroupTypeController } from './manage-schema/group-type.controller.js';
import { SchemaController } from './manage-schema/schema.controller.js';
import { WorkspaceController } from './manage-schema/workspace.controller.js';
import { LifecycleController } from './manage-segments/lifecycle.controller.js';
import { ManageSegments } from './manage-segments/manage-segments.js';
import { SegmentController } from './manage-segments/segment.controller.js';
import { askPublisher, type AskPublisher } from './operate-stream/ask-publisher.js';
import { OperateStream } from './operate-stream/operate-stream.js';
import { StreamController } from './operate-stream/stream.controller.js';
import { askExporter, type AskExporter } from './preview-export/ask-exporter.js';
import { PreviewExportController } from './preview-export/preview-export.controller.js';
import { PreviewController } from './preview-import/preview.controller.js';
import { ProductController } from './read-profiles/product.controller.js';
import { ProfileController } from './read-profiles/profile.controller.js';
import { AlertEvents } from './raise-alerts/alert.events.js';
import { Background } from './run-background/background.js';
import { FollowRuns } from './run-connection/follow-runs.js';
import { KeepRuns } from './run-connection/keep-runs.js';
import { RunController } from './run-connection/run.controller.js';
import { hasOpenRun, StartRun } from './run-connection/start-run.js';
import { smtpMailer } from './send-alerts/mailer.js';
import type { WebhookPolicy } from './send-alerts/post-webhook.js';
import { SendAlerts } from './send-alerts/send-alerts.js';
import { importerRejects, type RejectSource } from './show-rejects/reject-source.js';
import { DryRunController } from './show-rejects/dry-run.controller.js';
import { FixRowsController } from './show-rejects/fix-rows.controller.js';
import { RejectsController } from './show-rejects/rejects.controller.js';
import { ConfigStorage } from './storage/config-storage.js';
import { StorageModule } from './storage/storage.module.js';
import { DATABASE, DRIVERS, EGRESS_ADDRESSES, EXPORTER, IMPORTER, PUBLISHER, REJECTS } from './tokens.js';

const controllers = [
  AlertController,
  ConnectionAccessController,
  ConnectionController,
  DomainGroupController,
  GoalController,
  GovernController,
  GroupTypeController,
  IngestionController,
  LifecycleController,
  PreviewController,
  PreviewExportController,
  ProductController,
  ProfileController,
  DryRunController,
  FixRowsController,
  RejectsController,
  RunController,
  SchemaController,
  SegmentController,
  StreamController,
  WorkspaceController,
] as const;

const apiVersion = '1.0.0';

/** Bodies whose numbers must keep every digit, and that may be large. */
export const jsonBodies: JsonBodyOptions = {
  rules: [
    { path: /^\/api\/v1\/workspaces\/[^/]+\/ingestion\//, limitBytes: 10 * 1024 * 1024, parse },
    { path: /^\/api\/v1\/workspaces\/[^/]+\/groups\//, parse },
    {
      path: /^\/api\/v1\/workspaces\/[^/]+\/runs\/[^/]+\/fixed-rows$/,
      text: 'text/csv',
      limitBytes: 32 * 1024 * 1024,
    },
  ],
};

@Module({})
class AppModule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    @Inject(Background) private readonly background: Background,
    @Inject(FollowRuns) private readonly followRuns: FollowRuns,
  ) {}

  onApplicationBootstrap(): void {
    this.background.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([this.background.stop(), this.followRuns.close()]);
  }
}

/** Every controller of the API: what the OpenAPI document describes. */
export const apiControllers = [ApiKeyController, ...controllers] as const;

/** The service's root module. `drivers` replaces S3 and Kinesis in tests. */
export function appModule(config: Config, log: Logger, drivers: Drivers = cloudDrivers): DynamicModule {
  return {
    module: AppModule,
    imports: [
      JobQueueModule.forRoot({
        redisUrl: config.MILLRACE_REDIS_URL,
        wakes: ['import-run', 'export-run', 'stream-lane'],
        consumes: ['run-event'],
        log,
      }),
      StorageModule.forRoot(config.MILLRACE_DATABASE_URL, log),
      AccessModule.forRoot(config.MILLRACE_BOOTSTRAP_API_KEY),
      DescribeApiModule.forRoot(apiControllers, apiVersion),
    ],
    controllers: [...controllers],
    providers: [...useCases(config, log), { provide: DRIVERS, useValue: drivers }],
  };
}

function useCases(config: Config, log: Logger): readonly Provider[] {
  const keys = config.MILLRACE_SEALING_KEYS;
  return [
    {
      provide: ManageConnections,
      inject: [ConfigStorage, DATABASE, WAKE_UPS],
      useFactory: (storage: ConfigStorage, database: Database, wakeUps: WakeUps) =>
        new ManageConnections(storage, keys, wakeUps, hasOpenRun, (goals, connection) =>
          checkGoals(database, goals, connection),
        ),
    },
    {
      provide: ManageAlerts,
      inject: [ConfigStorage],
      useFactory: (storage: ConfigStorage) =>
        new ManageAlerts(storage, keys, {
          webhooks: webhookPolicyOf(config),
          canMail: config.MILLRACE_SMTP_URL !== undefined,
        }),
    },
    {
      provide: AlertEvents,
      inject: [DATABASE, METRICS],
      useFactory: (database: Database, metrics: Metrics) => new AlertEvents(database, metrics, log),
    },
    {
      provide: SendAlerts,
      inject: [DATABASE, AlertEvents],
      useFactory: (database: Database, events: AlertEvents) => sendAlertsOf(config, database, events, log),
    },
    {
      provide: ManageGovernance,
      inject: [DATABASE, WAKE_UPS],
      useFactory: (database: Database, wakeUps: WakeUps) => new ManageGovernance(database, wakeUps),
    },
    {
      provide: ManageGoals,
      inject: [ConfigStorage, DATABASE, WAKE_UPS],
      useFactory: (storage: ConfigStorage, database: Database, wakeUps: WakeUps) =>
        new ManageGoals(storage, database, keys, wakeUps),
    },
    {
      provide: ManageSegments,
      inject: [DATABASE, Background],
      useFactory: (database: Database, background: Background) =>
        new ManageSegments(database, background.segmentsChanged),
    },
    { provide: IMPORTER, useFactory: () => importerOf(config) },
    { provide: EXPORTER, useFactory: () => exporterOf(config) },
    { provide: EGRESS_ADDRESSES, useValue: config.MILLRACE_EGRESS_ADDRESSES },
    { provide: PUBLISHER, useFactory: () => publisherOf(config) },
    {
      provide: OperateStream,
      inject: [ConfigStorage, DATABASE, WAKE_UPS],
      useFactory: (storage: ConfigStorage, database: Database, wakeUps: WakeUps) =>
        new OperateStream(storage, database, wakeUps),
    },
    { provide: REJECTS, inject: [IMPORTER], useFactory: rejectsOf },
    { provide: IngestUpdates, inject: [DATABASE], useFactory: (database: Database) => new IngestUpdates(database) },
    {
      provide: StartRun,
      inject: [DATABASE, WAKE_UPS],
      useFactory: (database: Database, wakeUps: WakeUps) => new StartRun(database, keys, wakeUps),
    },
    {
      provide: FollowRuns,
      inject: [DATABASE],
      useFactory: (database: Database) =>
        new FollowRuns(database, {
          onError: (error) => log.warn({ err: error }, 'looking for changed runs failed: tried again'),
        }),
    },
    {
      provide: Background,
      inject: [DATABASE, WAKE_UPS, FollowRuns, SendAlerts, AlertEvents],
      useFactory: (
        database: Database,
        wakeUps: WakeUps,
        followRuns: FollowRuns,
        sendAlerts: SendAlerts,
        alertEvents: AlertEvents,
      ) =>
        new Background({
          database,
          wakeUps,
          keepRuns: new KeepRuns(database, wakeUps, () => (followRuns.lookNow(), sendAlerts.now()), log),
          sendAlerts,
          alertEvents,
          log,
          alertDays: config.MILLRACE_ALERT_DAYS,
          alertWatchMs: config.MILLRACE_ALERT_WATCH_SECONDS * 1000,
          ingestionBatchDays: config.MILLRACE_INGESTION_BATCH_DAYS,
          tombstoneDays: config.MILLRACE_TOMBSTONE_DAYS,
        }),
    },
  ];
}

function importerOf({ MILLRACE_IMPORTER_URL: url, MILLRACE_SERVICE_TOKEN: token }: Config): AskImporter | undefined {
  return url === undefined || token === undefined ? undefined : askImporter(url, token);
}

function publisherOf({ MILLRACE_PUBLISHER_URL: url, MILLRACE_SERVICE_TOKEN: token }: Config): AskPublisher | undefined {
  return url === undefined || token === undefined ? undefined : askPublisher(url, token);
}

function exporterOf({ MILLRACE_EXPORTER_URL: url, MILLRACE_SERVICE_TOKEN: token }: Config): AskExporter | undefined {
  return url === undefined || token === undefined ? undefined : askExporter(url, token);
}

function webhookPolicyOf(config: Config): WebhookPolicy {
  return { http: config.MILLRACE_ALERT_HTTP, privateAddresses: config.MILLRACE_ALERT_PRIVATE_ADDRESSES };
}

function sendAlertsOf(config: Config, database: Database, events: AlertEvents, log: Logger): SendAlerts {
  const { MILLRACE_SMTP_URL: url, MILLRACE_SMTP_FROM: from } = config;
  return new SendAlerts({
    database,
    key: config.MILLRACE_SEALING_KEYS['config-api'],
    mailer: url === undefined || from === undefined ? undefined : smtpMailer(url, from),
    webhooks: webhookPolicyOf(config),
    log,
    retryMs: config.MILLRACE_ALERT_RETRY_SECONDS * 1000,
    giveUpMs: config.MILLRACE_ALERT_GIVE_UP_HOURS * 3_600_000,
    onEnd: ({ channel }, outcome) => events.attemptEnded(channel, outcome),
  });
}

function rejectsOf(importer: AskImporter | undefined): RejectSource | undefined {
  return importer === undefined ? undefined : importerRejects(importer);
}

const cloudDrivers: Drivers = {
  objectStore: (connection: Connection) => createS3ObjectStore(connection),
  eventStream: (connection: Connection) => createKinesisEventStream(connection),
};

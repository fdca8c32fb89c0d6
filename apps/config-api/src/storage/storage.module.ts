import { Database, sql } from '@millrace/database';
import { HEALTH, type HealthRegistry, type Logger } from '@millrace/service-kit';
import {
  Inject,
  Module,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { DATABASE } from '../tokens.js';
import { ConfigStorage } from './config-storage.js';

/** The connections to PostgreSQL, for every module of the service. */
@Module({})
export class StorageModule implements OnApplicationBootstrap, OnApplicationShutdown {
  constructor(
    @Inject(DATABASE) private readonly database: Database,
    @Inject(ConfigStorage) private readonly storage: ConfigStorage,
    @Inject(HEALTH) private readonly health: HealthRegistry,
  ) {}

  static forRoot(url: string, log: Logger): DynamicModule {
    const onIdleError = (error: Error): void => log.warn({ err: error }, 'an idle database connection was lost');
    return {
      module: StorageModule,
      global: true,
      providers: [
        {
          provide: DATABASE,
          useFactory: () =>
            new Database({ url, applicationName: 'millrace-config-api', maxConnections: 10, onIdleError }),
        },
        { provide: ConfigStorage, useFactory: () => ConfigStorage.open({ url, onIdleError }) },
      ],
      exports: [DATABASE, ConfigStorage],
    };
  }

  onApplicationBootstrap(): void {
    this.health.add('database', () => this.database.query(sql`SELECT 1`));
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.database.end(), this.storage.close()]);
  }
}

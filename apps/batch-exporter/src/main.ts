import { bootstrap, createLogger, readConfig } from '@millrace/service-kit';
import { AppModule } from './app.module.js';
import { configSchema } from './config.js';

const settings = readConfig(configSchema);
const logger = createLogger({ service: 'batch-exporter', level: settings.MILLRACE_LOG_LEVEL });
await bootstrap({
  module: AppModule.with(settings, logger),
  name: 'batch-exporter',
  port: settings.MILLRACE_PORT,
  logger,
});

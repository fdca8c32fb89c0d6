import { bootstrap, createLogger, readConfig } from '@millrace/service-kit';
import { appModule, jsonBodies } from './app.module.js';
import { configSchema } from './config.js';

const config = readConfig(configSchema);
const logger = createLogger({ service: 'importer', level: config.MILLRACE_LOG_LEVEL });

await bootstrap({
  module: appModule(config, logger),
  name: 'importer',
  port: config.MILLRACE_PORT,
  logger,
  json: jsonBodies,
});

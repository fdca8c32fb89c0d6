import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { Module, type DynamicModule, type INestApplication, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import express, { type NextFunction, type Request, type Response } from 'express';
import { HealthRegistry } from './health.js';
import { jsonBodies, type JsonBodyOptions } from './json-body.js';
import type { Logger } from './logger.js';
import { createMetrics, type Metrics } from './metrics.js';
import { nestLogger } from './nest-logger.js';
import { operationRoutes, requestMetrics } from './operations.js';
import { ProblemFilter, sendProblem } from './problem.filter.js';
import { stopOnSignals } from './stop-on-signals.js';
import { explainStartFailure } from './start-failure.js';
import { ValidationPipe } from './validation.pipe.js';

/** Injects the service's `Logger`. */
export const LOGGER = Symbol('Logger');
/** Injects the `HealthRegistry`. */
export const HEALTH = Symbol('HealthRegistry');
/** Injects `Metrics`. */
export const METRICS = Symbol('Metrics');

export interface ServiceOptions {
  readonly module: Type<unknown> | DynamicModule;
  /** As in logs and metrics: `importer`. */
  readonly name: string;
  /** 0: any free port. */
  readonly port: number;
  /** Default: all interfaces. */
  readonly host?: string;
  readonly logger: Logger;
  readonly health?: HealthRegistry;
  readonly metrics?: Metrics;
  readonly json?: JsonBodyOptions;
  /** Before the service listens: API documents, further middleware. */
  readonly configure?: (app: INestApplication) => void | Promise<void>;
}

export interface Service {
  readonly app: INestApplication;
  readonly url: string;
  /** Stops to listen, lets requests under way end (3 s), runs Nest's shutdown hooks. */
  stop(): Promise<void>;
}

@Module({})
class ServiceKitModule {}

@Module({})
class RootModule {}

// What a request may still take once the service stops; event streams are cut then.
const drainMs = 3000;

/** Builds and starts the service; what goes wrong is thrown. For tests; `main.ts` calls `bootstrap`. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { logger } = options;
  const health = options.health ?? new HealthRegistry();
  const metrics = options.metrics ?? createMetrics({ service: options.name });
  const kit: DynamicModule = {
    module: ServiceKitModule,
    global: true,
    providers: [
      { provide: LOGGER, useValue: logger },
      { provide: HEALTH, useValue: health },
      { provide: METRICS, useValue: metrics },
    ],
    exports: [LOGGER, HEALTH, METRICS],
  };
  const server = express();
  server.disable('x-powered-by');
  const app = await NestFactory.create(
    { module: RootModule, imports: [kit, options.module] },
    new ExpressAdapter(server),
    {
      logger: nestLogger(logger),
      bodyParser: false,
      abortOnError: false,
    },
  );
  try {
    app.use(operationRoutes(health, metrics), requestMetrics(metrics), jsonBodies(options.json ?? {}));
    // Errors of the middleware above come before Nest's filters.
    app.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
      sendProblem(error, request, response, logger),
    );
    app.useGlobalFilters(new ProblemFilter(logger));
    app.useGlobalPipes(new ValidationPipe());
    await options.configure?.(app);
    await app.listen(options.port, options.host ?? '0.0.0.0');
  } catch (error) {
    await app.close().catch(() => undefined);
    throw error;
  }
  const http = app.getHttpServer() as import('node:http').Server;
  const { port } = http.address() as AddressInfo;
  return {
    app,
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      health.markStopping();
      http.close();
      http.closeIdleConnections();
      const cut = setTimeout(() => http.closeAllConnections(), drainMs);
      try {
        await app.close();
      } finally {
        clearTimeout(cut);
        http.closeAllConnections();
      }
    },
  };
}

/**
 * The whole of a service's `main.ts` after its configuration: starts it, stops it within 10 s on SIGTERM or SIGINT (a second
 * signal ends it at once). When it cannot start it says why in one line and exits with 1.
 */
export async function bootstrap(options: ServiceOptions): Promise<void> {
  const { logger, name } = options;
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'an unexpected error was not handled: the service stops');
    process.exit(1);
  });
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'an unexpected error was not handled: the service stops');
    process.exit(1);
  });
  try {
    const service = await startService(options);
    stopOnSignals({ logger, stop: () => service.stop() });
    logger.info({ url: service.url, pid: process.pid }, `${name} is up`);
  } catch (error) {
    const explained = explainStartFailure(error, options.port);
    logger.fatal(explained === undefined ? { err: error } : {}, explained ?? `${name} could not start`);
    process.exit(1);
  }
}

import { Router, type Request, type RequestHandler, type Response } from 'express';
import type { HealthRegistry } from './health.js';
import type { Metrics } from './metrics.js';
import { routeOf } from './problem.filter.js';

/**
 * `/health/live`, `/health/ready` and `/metrics`, outside of Nest's routes: guards and API documents do not see them.
 */
export function operationRoutes(health: HealthRegistry, metrics: Metrics): Router {
  const router = Router();
  router.get('/health/live', (_request, response) => {
    response.json({ status: 'ok' });
  });
  router.get('/health/ready', async (_request, response) => {
    const report = await health.report();
    response.status(report.status === 'ok' ? 200 : 503).json(report);
  });
  router.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return router;
}

/** Counts and times requests by route pattern. */
export function requestMetrics(metrics: Metrics): RequestHandler {
  const seconds = metrics.histogram({
    name: 'millrace_http_request_duration_seconds',
    help: 'Time to answer a request',
    labels: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  });
  return (request: Request, response: Response, next) => {
    const startedAt = performance.now();
    response.once('finish', () => {
      seconds.observe(
        { method: request.method, route: routeOf(request), status: response.statusCode },
        (performance.now() - startedAt) / 1000,
      );
    });
    next();
  };
}

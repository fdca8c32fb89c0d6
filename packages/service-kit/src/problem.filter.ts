import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { Request, Response } from 'express';
import type { Logger } from './logger.js';
import { toProblem } from './problem.js';

/** Answers every error as application/problem+json and logs the ones that are bugs. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(error, http.getRequest<Request>(), http.getResponse<Response>(), this.#logger);
  }
}

export function sendProblem(error: unknown, request: Request, response: Response, logger: Logger): void {
  const body = toProblem(error);
  // The path without its query: a look-up may carry an e-mail address there.
  if (body.status >= 500)
    logger.error(
      { err: error, method: request.method, route: routeOf(request), status: body.status },
      'a request failed',
    );
  if (response.headersSent) {
    // An event stream that is under way can only be cut.
    response.end();
    return;
  }
  if (body.status === 503) response.setHeader('retry-after', '5');
  if (body.status === 401) response.setHeader('www-authenticate', 'Bearer');
  response.status(body.status).type('application/problem+json').send(JSON.stringify(body));
}

/** The route's pattern (`/api/v1/runs/:id`): never what stood in its place. */
export function routeOf(request: Request): string {
  const route = request.route as { path?: unknown } | undefined;
  return typeof route?.path === 'string' ? route.path : 'unmatched';
}

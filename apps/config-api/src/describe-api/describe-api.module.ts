import 'reflect-metadata';
import { Module, RequestMethod, type DynamicModule, type Type } from '@nestjs/common';
import { RouteParamtypes } from '@nestjs/common/internal';
import type { z } from 'zod';
import { operationOf } from '../http/operation.js';
import { OPEN_API } from '../tokens.js';
import { DocsController } from './docs.controller.js';
import { openApiDocument } from './open-api-document.js';
import type { Parameter, Route } from './route.js';

// The names under which Nest keeps what its decorators were given.
const nest = { path: 'path', method: 'method', arguments: '__routeArguments__', status: '__httpCode__' } as const;

interface RouteArgument {
  readonly data?: unknown;
  readonly schema?: z.ZodType;
}

/** The routes of controllers. A handler without `@operation` is an error: nobody could call it. */
export function routesOf(controllers: readonly Type<unknown>[]): readonly Route[] {
  return controllers.flatMap((controller) => {
    const prefix = Reflect.getMetadata(nest.path, controller) as string;
    return Object.getOwnPropertyNames(controller.prototype).flatMap((name) => {
      const handler: unknown = (controller.prototype as Record<string, unknown>)[name];
      if (typeof handler !== 'function' || !Reflect.hasMetadata(nest.method, handler)) return [];
      const details = operationOf(handler);
      if (details === undefined) throw new TypeError(`${controller.name}.${name} has no @operation`);
      return [routeOf(controller, name, handler, prefix, details)];
    });
  });
}

function routeOf(
  controller: Type<unknown>,
  name: string,
  handler: object,
  prefix: string,
  operation: Route['operation'],
): Route {
  const method = RequestMethod[Reflect.getMetadata(nest.method, handler) as RequestMethod];
  const path = `/${[prefix, Reflect.getMetadata(nest.path, handler) as string].join('/')}`
    .replace(/\/+/g, '/')
    .replace(/(.)\/$/, '$1');
  const status = (Reflect.getMetadata(nest.status, handler) as number | undefined) ?? (method === 'POST' ? 201 : 200);
  const given = Object.entries(
    (Reflect.getMetadata(nest.arguments, controller, name) ?? {}) as Record<string, RouteArgument>,
  );
  const ofType = (type: RouteParamtypes): readonly RouteArgument[] =>
    given.filter(([key]) => key.startsWith(`${type}:`)).map(([, argument]) => argument);
  const named = (type: RouteParamtypes, place: Parameter['in']): Parameter[] =>
    ofType(type).flatMap(({ data, schema }) => (typeof data === 'string' ? [{ in: place, name: data, schema }] : []));
  return {
    method: method.toLowerCase(),
    path: path.replace(/:(\w+)/g, '{$1}'),
    status,
    operation,
    parameters: [...named(RouteParamtypes.PARAM, 'path'), ...named(RouteParamtypes.HEADERS, 'header')],
    querySchema: ofType(RouteParamtypes.QUERY)[0]?.schema,
    bodySchema: operation.body ?? ofType(RouteParamtypes.BODY)[0]?.schema,
  };
}

/** The OpenAPI document and its page, for the given controllers and its own. */
@Module({})
export class DescribeApiModule {
  static forRoot(controllers: readonly Type<unknown>[], version: string): DynamicModule {
    const routes = routesOf([...controllers, DocsController]);
    return {
      module: DescribeApiModule,
      controllers: [DocsController],
      providers: [{ provide: OPEN_API, useFactory: () => openApiDocument(routes, version) }],
    };
  }
}

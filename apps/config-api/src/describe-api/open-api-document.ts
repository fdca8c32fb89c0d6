import { problem } from '@millrace/service-kit';
import { z } from 'zod';
import { tags, type Answer } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import type { Route } from './route.js';
import { SchemaComponents, type JsonSchema } from './schema-components.js';

const problemType = 'application/problem+json';
const usualProblems = {
  '400': 'The request is not as described; `errors` names each field',
  '500': 'A bug; nothing was changed',
  '503': 'Try again later',
};
const keyProblems = {
  '401': 'No API key, or an unknown one',
  '403': 'The API key lacks the scope, or belongs to another workspace',
};

/** The OpenAPI 3.1 document of the routes, from the schemas they validate with. */
export function openApiDocument(routes: readonly Route[], version: string): JsonSchema {
  const components = new SchemaComponents();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of [...routes].sort((left, right) => (left.path < right.path ? -1 : 1))) {
    (paths[route.path] ??= {})[route.method] = describeRoute(route, components);
  }
  components.describe(problem, 'output');
  return {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'Millrace',
      version,
      description:
        'Moves customer profiles between a profile store and the cloud. Send an API key as `Authorization: Bearer <key>`. ' +
        'Errors are problem documents (RFC 9457); their `code` never changes once published. ' +
        'Scopes: `platform` covers everything everywhere, `admin` everything in one workspace; the scope of each call stands with it.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: components.all,
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key' } },
    },
  };
}

function describeRoute(route: Route, components: SchemaComponents): JsonSchema {
  const { operation } = route;
  const isPublic = operation.access === 'public';
  const scope =
    operation.access === 'any-key'
      ? 'Any API key will do.'
      : `Scope: \`${operation.access}\`${operation.also === undefined ? '' : ` and \`${operation.also}\``}.`;
  return {
    operationId: operation.id,
    tags: [operation.tag],
    summary: operation.summary,
    description: [operation.description, isPublic ? undefined : scope]
      .filter((text) => text !== undefined)
      .join('\n\n'),
    security: isPublic ? [] : [{ apiKey: [] }],
    parameters: [...pathParametersOf(route, components), ...queryParametersOf(route, components), ...headersOf(route)],
    ...(route.bodySchema === undefined
      ? {}
      : { requestBody: bodyOf(route.bodySchema, operation.bodyType, components) }),
    responses: {
      [String(route.status)]: describeAnswer(operation.answer, components),
      ...Object.fromEntries(
        Object.entries(operation.otherAnswers ?? {}).map(([status, answer]) => [
          status,
          describeAnswer(answer, components),
        ]),
      ),
      ...Object.fromEntries(
        Object.entries(problemsOf(route)).map(([status, description]) => [
          status,
          { description, content: { [problemType]: { schema: components.describe(problem, 'output') } } },
        ]),
      ),
    },
  };
}

/** Every problem a route may answer with, by status. */
export function problemsOf({ operation, path, bodySchema }: Route): Readonly<Record<string, string>> {
  const missing = path.includes('{workspace}')
    ? [operation.problems?.['404'], 'No such workspace']
    : [operation.problems?.['404']];
  const notFound = missing.filter((reason) => reason !== undefined).join('; ');
  return {
    ...usualProblems,
    ...(operation.access === 'public' ? {} : keyProblems),
    ...(bodySchema === undefined ? {} : { '413': 'The body is larger than 1 MiB' }),
    ...operation.problems,
    ...(notFound === '' ? {} : { '404': notFound }),
  };
}

function describeAnswer({ description, schema, contentType }: Answer, components: SchemaComponents): JsonSchema {
  if (schema === undefined) return { description };
  return {
    description,
    content: { [contentType ?? 'application/json']: { schema: components.describe(schema, 'output') } },
  };
}

function bodyOf(schema: z.ZodType, type: string | undefined, components: SchemaComponents): JsonSchema {
  const required = !schema.safeParse(undefined).success;
  return { required, content: { [type ?? 'application/json']: { schema: components.describe(schema, 'input') } } };
}

function pathParametersOf(route: Route, components: SchemaComponents): readonly JsonSchema[] {
  return [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    const schema = (pathParameters as Readonly<Record<string, z.ZodType>>)[name!];
    if (schema === undefined) throw new TypeError(`${route.path}: the parameter ${name} is not among pathParameters`);
    const { description, ...rest } = components.describe(schema, 'input');
    return { name, in: 'path', required: true, ...(description === undefined ? {} : { description }), schema: rest };
  });
}

function queryParametersOf({ querySchema, path }: Route, components: SchemaComponents): readonly JsonSchema[] {
  if (querySchema === undefined) return [];
  if (!(querySchema instanceof z.ZodObject)) throw new TypeError(`${path}: the query must be an object`);
  return Object.entries(querySchema.shape as Record<string, z.ZodType>).map(([name, schema]) => {
    const { description, ...rest } = components.describe(schema, 'output');
    const required = !schema.safeParse(undefined).success;
    return { name, in: 'query', required, ...(description === undefined ? {} : { description }), schema: rest };
  });
}

function headersOf(route: Route): readonly JsonSchema[] {
  return route.parameters
    .filter((parameter) => parameter.in === 'header')
    .map(({ name }) => ({ name, in: 'header', required: false, schema: { type: 'string' } }));
}

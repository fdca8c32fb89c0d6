import { apiControllers } from '../app.module.js';
import { openApiDocument } from './open-api-document.js';
import { routesOf } from './describe-api.module.js';

const routes = routesOf(apiControllers);

interface Described {
  readonly security: readonly object[];
  readonly parameters: readonly { readonly in: string; readonly name: string }[];
  readonly requestBody?: object;
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
}
interface Schema {
  readonly oneOf: readonly {
    readonly required: readonly string[];
    readonly properties: { readonly kind: { readonly const: string } };
  }[];
}
const document = openApiDocument(routes, '1.0.0') as unknown as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};
const operations = routes.map((route) => [route, document.paths[route.path]![route.method]!] as const);

describe('the OpenAPI document', () => {
  it('describes every route once, under a name of its own', () => {
    const described = Object.values(document.paths).flatMap((methods) => Object.keys(methods));
    expect(described).toHaveLength(routes.length);
    expect(new Set(routes.map(({ operation }) => operation.id)).size).toBe(routes.length);
  });

  it('refers only to what it holds', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
      ([, name]) => name!,
    );
    expect(references.length).toBeGreaterThan(50);
    for (const name of references) expect(document.components.schemas).toHaveProperty([name]);
  });

  it('names security, problems, parameters and bodies of each route', () => {
    for (const [route, operation] of operations) {
      const isPublic = route.operation.access === 'public';
      expect(operation.security).toEqual(isPublic ? [] : [{ apiKey: [] }]);
      const problems = isPublic ? ['400', '500'] : ['400', '401', '403', '500'];
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining([String(route.status), ...problems]));
      expect(operation.responses['400']!.content).toHaveProperty(['application/problem+json']);
      const inPath = operation.parameters.filter((parameter) => parameter.in === 'path');
      expect(inPath.map(({ name }) => `{${name}}`)).toEqual(route.path.match(/\{\w+\}/g) ?? []);
      expect(operation.requestBody !== undefined).toBe(route.bodySchema !== undefined);
    }
  });

  it('validates every parameter it names', () => {
    for (const { operation, parameters } of routes) {
      if (operation.access === 'public') continue;
      const unchecked = parameters.filter((parameter) => parameter.in === 'path' && parameter.schema === undefined);
      expect({ route: operation.id, unchecked }).toEqual({ route: operation.id, unchecked: [] });
    }
  });

  it('marks secrets as never shown', () => {
    const { NewConnection, Connection } = document.components.schemas;
    expect(JSON.stringify(NewConnection)).toContain('"writeOnly":true');
    expect(JSON.stringify(Connection)).not.toContain('secretAccessKey"');
    expect(JSON.stringify(Connection)).toContain('hasSecretAccessKey');
  });

  it('asks for less on the way in than it gives on the way out', () => {
    const { NewGoal, Goal } = document.components.schemas;
    const required = (schema: Schema | undefined): readonly string[] =>
      schema?.oneOf.find(({ properties }) => properties.kind.const === 'import-profiles')?.required ?? [];
    expect(required(NewGoal)).toEqual(['kind', 'name', 'source', 'matching']);
    expect(required(Goal)).toEqual(expect.arrayContaining(['id', 'csv', 'rejectLimit']));
  });
});

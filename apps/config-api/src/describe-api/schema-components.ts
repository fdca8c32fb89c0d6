import { z } from 'zod';

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Turns zod schemas into the JSON Schema 2020-12 of OpenAPI 3.1. Schemas with an id (`.meta({ id })`) become components that others
 * refer to. A schema whose input and output differ (defaults) gets a second component for input.
 */
export class SchemaComponents {
  readonly #components = new Map<string, JsonSchema>();

  /** `input`: what a client sends, where fields with a default may be left out. */
  describe(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const {
      $schema: _dialect,
      $defs = {},
      ...described
    } = z.toJSONSchema(schema, {
      target: 'draft-2020-12',
      io,
      unrepresentable: 'any',
      override: ({ jsonSchema }) => simplify(jsonSchema, io),
    });
    const names = new Map<string, string>();
    for (const [id, component] of Object.entries($defs)) names.set(id, this.#nameFor(id, component as JsonSchema, io));
    for (const [id, component] of Object.entries($defs))
      this.#components.set(names.get(id)!, pointToComponents(component, names) as JsonSchema);
    return pointToComponents(described, names) as JsonSchema;
  }

  get all(): Readonly<Record<string, JsonSchema>> {
    return Object.fromEntries([...this.#components].sort(([left], [right]) => (left < right ? -1 : 1)));
  }

  #nameFor(id: string, component: JsonSchema, io: 'input' | 'output'): string {
    const names = new Map([[id, id]]);
    const present = this.#components.get(id);
    if (present === undefined || JSON.stringify(present) === JSON.stringify(pointToComponents(component, names)))
      return id;
    return io === 'input' ? `${id}Input` : `${id}Output`;
  }
}

/** zod writes out as patterns and bounds what `format` and `type` say already. */
function simplify(schema: Record<string, unknown>, io: 'input' | 'output'): void {
  if (typeof schema['format'] === 'string') delete schema['pattern'];
  if (schema['minimum'] === Number.MIN_SAFE_INTEGER) delete schema['minimum'];
  if (schema['maximum'] === Number.MAX_SAFE_INTEGER) delete schema['maximum'];
  // Answers may grow fields.
  if (io === 'output' && schema['additionalProperties'] === false) delete schema['additionalProperties'];
}

function pointToComponents(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((entry) => pointToComponents(entry, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (key !== '$ref' || typeof inner !== 'string') return [key, pointToComponents(inner, names)];
      const id = inner.replace(/^#\/\$defs\//, '');
      return [key, `#/components/schemas/${names.get(id) ?? id}`];
    }),
  );
}

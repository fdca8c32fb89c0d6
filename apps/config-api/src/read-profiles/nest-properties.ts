/** An object without prototype, so that a property called `__proto__` is a property like any other. */
type Nested = Record<string, unknown>;

/**
 * Flat properties (`person.name.firstName`) as nested objects. No name is a dotted prefix of another: the workspace
 * refuses such properties.
 */
export function nestProperties(flat: Readonly<Record<string, unknown>>): Nested {
  const root = empty();
  for (const [name, value] of Object.entries(flat)) {
    const path = name.split('.');
    const last = path.pop()!;
    let level = root;
    for (const part of path) {
      const below = level[part];
      const next = isNested(below) ? below : empty();
      level[part] = next;
      level = next;
    }
    level[last] = value;
  }
  return root;
}

function empty(): Nested {
  return Object.create(null) as Nested;
}

function isNested(value: unknown): value is Nested {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}

import type { PreviewedColumn } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';

/** Names that differ only in case, spaces, underscores, dots and hyphens mean the same. */
export function looseName(name: string): string {
  return name.toLowerCase().replace(/[\s_.-]+/g, '');
}

/**
 * A mapping for each column of a header: an identity namespace or property of the same name, or else a new property of
 * the type its values look like. Each target is proposed once, to the first column that names it.
 */
export function proposeMappings(
  columns: readonly PreviewedColumn[],
  catalogue: Pick<Catalogue, 'namespaces' | 'properties'>,
): readonly PreviewedColumn[] {
  const namespaces = byLooseName(catalogue.namespaces.keys());
  const properties = byLooseName(catalogue.properties.keys());
  const taken = new Set<string>();
  return columns.map((column) => {
    const loose = looseName(column.column);
    if (loose === '' || taken.has(loose)) return column;
    taken.add(loose);
    const namespace = namespaces.get(loose);
    if (namespace !== undefined) return { ...column, mapping: { kind: 'identifier', namespace } };
    const property = catalogue.properties.get(properties.get(loose) ?? '');
    if (property !== undefined) {
      const rule = property.list ? 'add' : 'set';
      const { name, type } = property;
      const effect = property.list ? 'the import would add to its lists' : 'the import would overwrite its values';
      const warning = `the property ${JSON.stringify(name)} exists already: ${effect}`;
      return { ...column, mapping: { kind: 'property', property: name, rule, exists: true, warning, type } };
    }
    const name = newPropertyName(column.column);
    if (name === '') return column;
    return { ...column, mapping: { kind: 'property', property: name, rule: 'set', exists: false, type: column.type } };
  });
}

function byLooseName(names: Iterable<string>): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of names) if (!found.has(looseName(name))) found.set(looseName(name), name);
  return found;
}

/** A column's name as a property may be called: no control characters, no empty path segments. */
function newPropertyName(column: string): string {
  const segments = column.replace(/[\u0000-\u001f\u007f]+/gu, ' ').split('.');
  return segments
    .map((segment) => segment.trim())
    .filter((segment) => segment !== '')
    .join('.')
    .slice(0, 300);
}

import type { FieldMapping, ImportProfilesGoal, MergeRule } from '@millrace/domain';
import type { Catalogue, CatalogueProperty } from './catalogue.js';
import type { ColumnIndex } from './columns.js';

/** What a rule needs a property to be, or undefined where it fits. The reason follows "needs". */
function ruleNeeds(rule: MergeRule, { type, list }: Pick<CatalogueProperty, 'type' | 'list'>): string | undefined {
  if (rule === 'sum' && (list || (type !== 'integer' && type !== 'decimal'))) return 'a single integer or decimal';
  return rule === 'add' && !list ? 'a list' : undefined;
}

interface ExpandedMappings {
  readonly mappings: readonly FieldMapping[];
  /** Columns that `mapAll` found no fitting property for. */
  readonly leftOut: readonly string[];
}

/**
 * The goal's mappings, and those that `mapAll` makes of the columns nothing else names: each to the property called prefix
 * and column. Columns that are identifiers, consent, group links, the delete flag or excepted are not meant.
 */
export function expandMappings(goal: ImportProfilesGoal, columns: ColumnIndex, catalogue: Catalogue): ExpandedMappings {
  const { mapAll } = goal;
  if (mapAll === undefined) return { mappings: goal.mappings, leftOut: [] };
  const named = [...goal.mappings, ...goal.matching.identifiers, ...goal.consent, ...goal.groupLinks].map(
    ({ column }) => column,
  );
  const used = new Set([...named, ...mapAll.except, goal.deleteFlag?.column]);
  const taken = new Set(goal.mappings.map(({ property }) => property));
  const mappings: FieldMapping[] = [...goal.mappings];
  const leftOut: string[] = [];
  for (const column of columns.names()) {
    if (used.has(column)) continue;
    const property = catalogue.properties.get(mapAll.prefix + column);
    if (property === undefined || taken.has(property.name) || ruleNeeds(mapAll.rule, property) !== undefined)
      leftOut.push(column);
    else mappings.push({ column, property: property.name, rule: mapAll.rule });
  }
  return { mappings, leftOut };
}

/**
 * The properties a rule may write: staging is laid out by the goal alone, before a header is seen, so `mapAll` counts with
 * every property it could meet.
 */
export function propertiesUnder(
  rule: MergeRule,
  { mappings, mapAll }: Pick<ImportProfilesGoal, 'mappings' | 'mapAll'>,
  catalogue: Catalogue,
): readonly string[] {
  const named = mappings.filter((mapping) => mapping.rule === rule).map(({ property }) => property);
  if (mapAll?.rule !== rule) return named;
  const taken = new Set(mappings.map(({ property }) => property));
  const possible = [...catalogue.properties.values()].filter(
    (property) =>
      property.name.startsWith(mapAll.prefix) && !taken.has(property.name) && ruleNeeds(rule, property) === undefined,
  );
  return [...named, ...possible.map(({ name }) => name)];
}

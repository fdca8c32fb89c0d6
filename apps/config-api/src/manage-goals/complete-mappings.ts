import { propertyName, type FieldMapping, type Goal } from '@millrace/domain';
import type { Catalogue, CatalogueProperty } from '@millrace/mapping';
import type { MissingProperty } from '@millrace/profile-store';
import { ValidationError } from '@millrace/service-kit';

export interface CompletedGoal {
  /** Every mapping names its property. */
  readonly goal: Goal;
  /** What the mappings name, the workspace does not have, and saving the goal adds. */
  readonly missing: readonly MissingProperty[];
  /** Whose properties they are, if not those of profiles. */
  readonly groupType: string | undefined;
}

/** Whether saving its goal may add the property of a mapping. */
export function mayBringProperty({ property, createAs }: FieldMapping): boolean {
  return property === '' || createAs !== undefined;
}

/**
 * A mapping without property goes to the one called prefix and column; where there is none of that name, the goal brings it
 * with it, as does a mapping that says what to create.
 * @throws ValidationError naming the mapping whose column makes no name
 */
export function completeMappings(goal: Goal, catalogue: Catalogue): CompletedGoal {
  if (goal.kind !== 'import-profiles' && goal.kind !== 'import-groups')
    return { goal, missing: [], groupType: undefined };
  const groupType = goal.kind === 'import-groups' ? goal.groupType : undefined;
  const known = groupType === undefined ? catalogue.properties : catalogue.groupTypes.get(groupType)?.properties;
  const named = goal.mappings.map((mapping, index) => (mapping.property === '' ? nameAfter(mapping, index) : mapping));
  // What a group type that is not there lacks is not told one by one.
  if (known === undefined) return { goal: { ...goal, mappings: named }, missing: [], groupType };
  const missing = new Map<string, MissingProperty>();
  named.forEach(({ property, createAs, rule }, index) => {
    if (createAs === undefined || known.has(property) || missing.has(property)) return;
    missing.set(property, { name: property, type: createAs, list: rule === 'add', at: `mappings.${index}.property` });
  });
  return { goal: { ...goal, mappings: named }, missing: [...missing.values()], groupType };

  function nameAfter(mapping: FieldMapping, index: number): FieldMapping {
    const { mappingPrefix, csv } = goal as Extract<Goal, { kind: 'import-profiles' | 'import-groups' }>;
    const name = propertyName.safeParse(mappingPrefix + mapping.column);
    const complain = (message: string): never => {
      throw new ValidationError([{ field: `mappings.${index}.property`, message }]);
    };
    if (!csv.header) return complain('must be named: the file has no header, so its columns have no names');
    if (!name.success)
      return complain(
        `must be named: ${JSON.stringify(mappingPrefix + mapping.column)} is no name of a property, it ${name.error.issues[0]?.message ?? 'is too long'}`,
      );
    return {
      ...mapping,
      property: name.data,
      createAs: mapping.createAs ?? known?.get(name.data)?.type ?? typeUnder(mapping.rule),
    };
  }
}

function typeUnder(rule: FieldMapping['rule']): 'decimal' | 'string' {
  return rule === 'sum' ? 'decimal' : 'string';
}

/** The catalogue as it is once the missing properties are there. */
export function withMissing(
  catalogue: Catalogue,
  missing: readonly MissingProperty[],
  groupType: string | undefined,
): Catalogue {
  if (missing.length === 0) return catalogue;
  const added = missing.map(({ name, type, list }, index): [string, CatalogueProperty] => [
    name,
    { id: -1 - index, name, type, list },
  ]);
  if (groupType === undefined) return { ...catalogue, properties: new Map([...catalogue.properties, ...added]) };
  const type = catalogue.groupTypes.get(groupType);
  if (type === undefined) return catalogue;
  const properties = new Map([...type.properties, ...added]);
  return { ...catalogue, groupTypes: new Map([...catalogue.groupTypes, [groupType, { ...type, properties }]]) };
}

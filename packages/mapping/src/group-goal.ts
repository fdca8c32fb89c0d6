import { InputError, type ImportGoal, type ImportProfilesGoal } from '@millrace/domain';
import type { Catalogue } from './catalogue.js';

/** How the rows of an import goal are read, matched and merged. */
export interface ImportTarget {
  readonly goal: ImportProfilesGoal;
  readonly catalogue: Catalogue;
  /** The rows are groups of this type, not profiles. */
  readonly groupTypeId?: number;
}

// Not the code of any namespace: those begin with a letter.
const keyNamespace = '(key)';
// Rows of one group name each other by its one key, so they are never too many to be trusted.
const anyNumberOfRows = 2_000_000_000;

/**
 * A goal that imports groups, as one that imports profiles whose only identifier is the group's key and whose properties are
 * those declared for its type: reading, mapping and merging are the same. Goals of profiles stay what they are.
 * @throws InputError `group-type-not-found`
 */
export function importTarget(goal: ImportGoal, catalogue: Catalogue): ImportTarget {
  if (goal.kind === 'import-profiles') return { goal, catalogue };
  const { groupType: code, matching, ...shared } = goal;
  const type = catalogue.groupTypes.get(code);
  if (type === undefined) {
    throw new InputError(
      'group-type-not-found',
      `the workspace has no group type ${JSON.stringify(code)}: declare it, with its properties, before groups are imported`,
      { at: 'groupType' },
    );
  }
  return {
    goal: {
      ...shared,
      kind: 'import-profiles',
      linked: [],
      matching: {
        identifiers: [{ column: matching.column, namespace: keyNamespace }],
        policy: 'unambiguous',
        allowCreation: matching.allowCreation,
        maxComponentRows: anyNumberOfRows,
      },
      consent: [],
      groupLinks: [],
      erasedProfiles: 'create',
      events: [],
    },
    catalogue: {
      ...catalogue,
      properties: type.properties,
      namespaces: new Map([
        [
          keyNamespace,
          { id: 0, code: keyNamespace, normalisation: { trim: true, case: 'keep', digitsOnly: false, hash: 'none' } },
        ],
      ]),
    },
    groupTypeId: type.id,
  };
}

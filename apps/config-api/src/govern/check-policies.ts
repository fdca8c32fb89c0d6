import type { Connection, Goal, Labelled, LabelledKind, Policy } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { type Complaint, quoted } from '../validate-goal/complaints.js';

/** What is labelled in a workspace, and what its policies forbid. */
export interface Governance {
  readonly labelled: readonly Labelled[];
  readonly policies: readonly Policy[];
  /** Names of properties that are identities too. */
  readonly uniqueProperties: readonly string[];
}

interface Use {
  readonly path: Complaint['path'];
  readonly kind: LabelledKind;
  readonly name: string;
}

/**
 * Every field of a goal by which labelled data would leave for an action that a policy forbids. Labels count where they
 * stand: on a property, or on the goal that fills it; an identity has those of the unique property of its name.
 */
export function brokenPolicies(
  goal: Goal,
  connection: Pick<Connection, 'marketingActions'>,
  governance: Governance,
  catalogue: Catalogue,
): readonly Complaint[] {
  const forbidding = governance.policies.filter(({ action }) => connection.marketingActions.includes(action));
  if (forbidding.length === 0) return [];
  const labelsOf = new Map(
    governance.labelled.map(({ kind, name, labels }) => [`${kind} ${name}`, new Set(labels)] as const),
  );
  return usesOf(goal, catalogue, governance.uniqueProperties).flatMap(({ path, kind, name }) =>
    forbidding
      .filter(({ label }) => labelsOf.get(`${kind} ${name}`)?.has(label))
      .map((policy) => ({
        path,
        message: `the policy ${quoted(policy.name)} forbids data labelled ${quoted(policy.label)} for ${quoted(policy.action)}, and the ${kind} ${quoted(shownName(kind, name, catalogue))} carries that label`,
      })),
  );
}

function shownName(kind: LabelledKind, name: string, catalogue: Catalogue): string {
  return kind === 'segment' ? (catalogue.segments.get(name)?.name ?? name) : name;
}

function usesOf(goal: Goal, catalogue: Catalogue, uniqueProperties: readonly string[]): readonly Use[] {
  switch (goal.kind) {
    case 'import-profiles':
    case 'import-groups':
      return [];
    case 'export-profiles':
      return [
        { path: ['segmentId'], kind: 'segment', name: goal.segmentId },
        ...goal.furtherSegmentIds.map((id, index): Use => ({
          path: ['furtherSegmentIds', index],
          kind: 'segment',
          name: id,
        })),
        ...goal.columns.flatMap(({ source }, index) => usesOfColumn(source, ['columns', index, 'source'], catalogue)),
        ...(goal.timeline === undefined
          ? []
          : (goal.timeline.types ?? [...catalogue.eventTypes.keys()]).map((code, index): Use => ({
              path: goal.timeline?.types === undefined ? ['timeline'] : ['timeline', 'types', index],
              kind: 'event-type',
              name: code,
            }))),
      ];
    case 'stream':
      return [
        ...goal.segmentIds.map((id, index): Use => ({ path: ['segmentIds', index], kind: 'segment', name: id })),
        ...goal.properties.map((name, index): Use => ({ path: ['properties', index], kind: 'property', name })),
        // Each record carries all identities.
        ...uniqueProperties.map((name): Use => ({ path: ['identityMap'], kind: 'property', name })),
      ];
  }
}

type Source = Extract<Goal, { kind: 'export-profiles' }>['columns'][number]['source'];

function usesOfColumn(source: Source, path: Complaint['path'], catalogue: Catalogue): readonly Use[] {
  const segments = (ids: readonly string[]): readonly Use[] => ids.map((name) => ({ path, kind: 'segment', name }));
  switch (source.kind) {
    case 'property':
      return [{ path, kind: 'property', name: source.property }];
    case 'permission-level':
      return [{ path, kind: 'property', name: 'permissionLevel' }];
    case 'identity':
      return [{ path, kind: 'property', name: source.namespace }];
    case 'segments':
      return segments(source.segmentIds ?? [...catalogue.segments.keys()]);
    case 'lifecycle':
      return segments(catalogue.lifecycles.get(source.lifecycleId)?.stages.map(({ segmentId }) => segmentId) ?? []);
    case 'group':
      return [{ path, kind: 'group-type', name: source.type }];
    case 'viewed-interactions':
      return (source.eventTypes ?? [...catalogue.eventTypes.keys()]).map((name) => ({
        path,
        kind: 'event-type',
        name,
      }));
    case 'profile-id':
    case 'membership-status':
    case 'consent':
    case 'fixed':
      return [];
  }
}

/** What a labelled import goal fills has its labels. */
export function inheritedLabels(goal: Goal, labels: readonly string[]): readonly Labelled[] {
  if (goal.kind === 'import-groups') return [{ kind: 'group-type', name: goal.groupType, labels: [...labels] }];
  if (goal.kind !== 'import-profiles') return [];
  const names = new Set(goal.mappings.map(({ property }) => property));
  const types = new Set(goal.events.map(({ type }) => type));
  const groups = new Set(goal.groupLinks.map(({ type }) => type));
  return [
    ...[...names].map((name): Labelled => ({ kind: 'property', name, labels: [...labels] })),
    ...[...types].map((name): Labelled => ({ kind: 'event-type', name, labels: [...labels] })),
    ...[...groups].map((name): Labelled => ({ kind: 'group-type', name, labels: [...labels] })),
  ];
}

import { type ExportProfilesGoal, InputError } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';
import type { ExportColumns } from './export-columns.js';

/** What a profile must have to be exported, and how one is counted that does not. */
export interface Demand {
  /** `no-mapped-value`, `missing:<property>`, `not-in-target`, `no-deduplication-key` or `no-consent`. */
  readonly reason: string;
  /** A condition over `p` of profile.profile; never NULL. */
  readonly met: Sql;
}

/** The objectives of the goal and of its connection; with either, a profile must consent to one of them. */
export function objectivesOf(
  goal: ExportProfilesGoal,
  ofConnection: readonly string[],
): readonly (readonly string[])[] {
  return [goal.consentObjectives, ofConnection].filter((objectives) => objectives.length > 0);
}

/** Whether a delta tells the receiver of who left the audience or was erased. */
export function tellsWhoLeft({ columns, tombstones }: ExportProfilesGoal): boolean {
  return tombstones || columns.some(({ source }) => source.kind === 'membership-status');
}

/**
 * Whether who was delivered is remembered: whom a receiver must be told of when they leave, for of nobody else it may learn; who had
 * each key, so that the next one follows; and, where only memberships count as changes but a profile must have more to be
 * exported, who had it, so that whoever gets it later is told of then. Who always exports everybody needs no memory.
 */
export function remembersDelivered(goal: ExportProfilesGoal): boolean {
  const { deduplicate, mode, mandatory, requiredIdentity, columns } = goal;
  if (mode === 'full') return false;
  if (deduplicate?.by === 'properties' || tellsWhoLeft(goal)) return true;
  if (deduplicate !== undefined || mode !== 'membership-only') return false;
  return (
    mandatory.length > 0 ||
    requiredIdentity !== undefined ||
    columns.some(({ source }) => source.kind === 'property' || source.kind === 'permission-level')
  );
}

/** Everything but consent, in the order in which reasons are counted. @throws InputError('property-unknown', 'namespace-unknown') */
export function demandsOf(goal: ExportProfilesGoal, columns: ExportColumns, catalogue: Catalogue): readonly Demand[] {
  const demands: Demand[] = [];
  if (columns.reads.properties.length > 0)
    demands.push({ reason: 'no-mapped-value', met: hasOneOf([...columns.reads.properties]) });
  goal.mandatory.forEach((name, index) => {
    checkProperty(catalogue, name, `mandatory[${index}]`);
    demands.push({ reason: `missing:${name}`, met: sql`p.properties ? ${sql.literal(name)}` });
  });
  if (goal.requiredIdentity !== undefined) {
    const namespaceId = namespaceIdOf(catalogue, goal.requiredIdentity, 'requiredIdentity');
    demands.push({ reason: 'not-in-target', met: hasIdentity(namespaceId) });
  }
  const { deduplicate } = goal;
  if (deduplicate?.by === 'namespace') {
    const namespaceId = namespaceIdOf(catalogue, deduplicate.namespace, 'deduplicate.namespace');
    demands.push({ reason: 'no-deduplication-key', met: hasIdentity(namespaceId) });
  }
  if (deduplicate?.by === 'properties') {
    deduplicate.properties.forEach((name, index) => checkProperty(catalogue, name, `deduplicate.properties[${index}]`));
    demands.push({ reason: 'no-deduplication-key', met: sql`p.properties ?& ${textArray(deduplicate.properties)}` });
  }
  return demands;
}

/** Most profiles have the first: a chain of `?` ends there, where `?|` takes its whole array apart for each. */
function hasOneOf(properties: readonly string[]): Sql {
  return sql`(${sql.join(
    properties.map((name) => sql`p.properties ? ${sql.literal(name)}`),
    ' OR ',
  )})`;
}

/** The profile consents to one of the goal's objectives and to one of its connection's, where they have any. */
export function consentDemand(objectives: readonly (readonly string[])[]): Demand | undefined {
  if (objectives.length === 0) return undefined;
  const met = objectives.map(
    (names) => sql`EXISTS (SELECT FROM profile.consent c
    WHERE c.profile_id = p.id AND c.objective = ANY (${textArray(names)}) AND c.granted)`,
  );
  return { reason: 'no-consent', met: sql.join(met, ' AND ') };
}

export function namespaceIdOf(catalogue: Catalogue, code: string, at: string): number {
  const namespace = catalogue.namespaces.get(code);
  if (namespace === undefined)
    throw new InputError('namespace-unknown', `the workspace has no identity namespace ${JSON.stringify(code)}`, {
      at,
    });
  return namespace.id;
}

function checkProperty(catalogue: Catalogue, name: string, at: string): void {
  if (!catalogue.properties.has(name))
    throw new InputError('property-unknown', `the workspace has no property ${JSON.stringify(name)}`, { at });
}

// The sum keeps the planner, when a first import has left no statistics yet, from the primary key: see identityText.
function hasIdentity(namespaceId: number): Sql {
  return sql`EXISTS (SELECT FROM profile.identity ri
    WHERE ri.profile_id = p.id AND ri.namespace_id + 0 = ${sql.integer(namespaceId)})`;
}

export function textArray(values: readonly string[]): Sql {
  return sql`ARRAY[${sql.join(values.map((value) => sql.literal(value)))}]::text[]`;
}

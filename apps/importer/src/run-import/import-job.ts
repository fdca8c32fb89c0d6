import type { Database } from '@millrace/database';
import {
  InputError,
  type GoalSnapshot,
  type ImportGoal,
  type ImportGuardrails,
  type ImportProfilesGoal,
  type PgpKeys,
} from '@millrace/domain';
import type { Unit, UnitContext, WakeUps } from '@millrace/job-queue';
import {
  ColumnIndex,
  compileImportRow,
  domainGroupOf,
  importTarget,
  profileIdNamespaceId,
  rowTimeColumn,
  type Catalogue,
  type ImportTarget,
} from '@millrace/mapping';
import type { ObjectStore } from '@millrace/object-store';
import { feedsOfTypes, type MergeShape, type ProductFeed } from '@millrace/profile-store';
import type { ImportEvents } from '../import.events.js';
import { planLinks, type LinkPlan } from '../link-files/plan-links.js';
import { configHash } from '../select-files/config-hash.js';
import { eventTableName, planName, stageName, stagingSchema } from '../storage/staging-tables.js';
import type { ProgressTeller } from './progress-teller.js';

export interface ImportSettings {
  /** Chunks applied at the same time. */
  readonly lanes: number;
  /** Root lines per chunk. */
  readonly chunkLines: number;
  /** Rejects kept in the list of one file; the rest are only counted. */
  readonly maxStoredRejects: number;
  /** Plain bytes one file may unfold to. */
  readonly maxPlainBytes: number;
  /** Of a row, where the goal does not say; a MiB where this does not say either. */
  readonly recordBytes?: number;
  /** Of a row, whatever the goal says. */
  readonly maxRecordBytes?: number;
  /** Rows a dry run takes in one transaction at most. */
  readonly rowsRehearsedTogether?: number;
}

/** What the steps of one goal's import share. */
export interface ImportJob {
  readonly unit: Unit;
  readonly context: UnitContext;
  readonly workspaceId: number;
  readonly goal: ImportProfilesGoal;
  /** Of the connection. */
  readonly consentObjectives: readonly string[];
  /** The one organizational unit the connection is kept to. */
  readonly organizationalUnit?: ImportGuardrails['unit'];
  readonly configHash: string;
  readonly links: LinkPlan;
  readonly catalogue: Catalogue;
  /** The goal imports groups of this type, and goal and catalogue stand for them. */
  readonly groupTypeId?: number | undefined;
  readonly pgp: PgpKeys | undefined;
  /** Of the workspace. */
  readonly pseudonymKey: Uint8Array;
  readonly store: ObjectStore;
  readonly database: Database;
  readonly wakeUps: WakeUps;
  readonly events: ImportEvents;
  readonly settings: ImportSettings;
  readonly progress: ProgressTeller;
  /** Nothing may be applied. */
  readonly dryRun: boolean;
}

/** A goal as its rows are read and merged, with what the workspace has for it. */
export type GoalInWorkspace = Pick<
  ImportJob,
  'goal' | 'consentObjectives' | 'organizationalUnit' | 'catalogue' | 'groupTypeId'
>;

/**
 * What the connection holds for all of its imports is applied here. Consent is of persons: groups are imported without it.
 * @throws InputError where the workspace has no such group type or domain group
 */
export function goalInWorkspace(
  snapshot: Pick<GoalSnapshot, 'consentObjectives' | 'guardrails'> & { readonly goal: ImportGoal },
  catalogue: Catalogue,
): GoalInWorkspace {
  const { goal, ...target }: ImportTarget = importTarget(snapshot.goal, catalogue);
  const { existingProfilesOnly = false, unit } = snapshot.guardrails ?? {};
  if (target.groupTypeId !== undefined) {
    if (unit?.property !== undefined && !target.catalogue.properties.has(unit.property))
      throw new InputError(
        'unit-unknown',
        `the connection is kept to one organizational unit by the property ${JSON.stringify(unit.property)}, which the group type of the goal does not declare: declare it, or name a column of the file instead`,
        { at: 'guardrails.unit.property' },
      );
    return { ...target, goal, consentObjectives: [], organizationalUnit: unit };
  }
  const { domainGroupId, allowCreation } = goal.matching;
  const matching = {
    ...goal.matching,
    allowCreation: allowCreation && !existingProfilesOnly,
    // The default one named is the same as none named, also to files imported before.
    domainGroupId:
      domainGroupOf(catalogue, domainGroupId) === catalogue.domainGroupId ? undefined : domainGroupId?.toLowerCase(),
  };
  return {
    ...target,
    goal: { ...goal, matching },
    consentObjectives: snapshot.consentObjectives,
    organizationalUnit: unit,
  };
}

/** The parts of a goal that do not depend on a file. Throws InputError where the goal does not fit the workspace. */
export function outlineGoal({
  goal,
  consentObjectives,
  catalogue,
  groupTypeId,
  organizationalUnit,
}: GoalInWorkspace): Pick<ImportJob, 'configHash' | 'links'> {
  const links = planLinks(goal);
  rowMapperOutline(goal, catalogue);
  return { configHash: configHash(goal, consentObjectives, groupTypeId, organizationalUnit), links };
}

/** What staging holds follows from the goal alone: a frozen plan can be applied without reading the file again. */
function rowMapperOutline(goal: ImportProfilesGoal, catalogue: Catalogue): Pick<MergeShape, 'namespaceIds' | 'uses'> {
  const flag = goal.deleteFlag === undefined ? [] : [goal.deleteFlag];
  const time = rowTimeColumn(goal);
  const named = [...goal.matching.identifiers, ...goal.mappings, ...goal.consent, ...goal.groupLinks, ...flag].map(
    ({ column }) => column,
  );
  const columns = [...new Set([...named, ...(time === undefined ? [] : [time])])];
  return compileImportRow(goal, new ColumnIndex('the file', columns, columns.length), catalogue);
}

export interface NumberedTables {
  readonly stage: string;
  readonly plan: string;
  readonly chunkLines: number;
  /** When the rows were written. */
  readonly writtenAt: Date;
}

export function mergeShape(job: GoalInWorkspace & Pick<ImportJob, 'workspaceId'>, tables: NumberedTables): MergeShape {
  const { goal, consentObjectives, organizationalUnit: unit, catalogue, groupTypeId, workspaceId } = job;
  const { namespaceIds, uses } = rowMapperOutline(goal, catalogue);
  return {
    workspaceId,
    domainGroupId: domainGroupOf(catalogue, goal.matching.domainGroupId),
    staging: { schema: stagingSchema, name: stageName(tables.stage) },
    plan: { schema: stagingSchema, name: planName(tables.plan) },
    planLines: { schema: stagingSchema, name: `${planName(tables.plan)}_lines` },
    events: goal.events.length === 0 ? undefined : { schema: stagingSchema, name: eventTableName(tables.stage) },
    eventsHaveLinkedRows: true,
    productFeeds: productFeedsOf(goal, catalogue),
    groupTypeId,
    namespaceIds,
    uses,
    allowCreation: goal.matching.allowCreation && namespaceIds.some((id) => id !== profileIdNamespaceId),
    policy: goal.matching.policy,
    maxComponentRows: goal.matching.maxComponentRows,
    chunkLines: tables.chunkLines,
    consentObjectives,
    erasedAfter: goal.erasedProfiles === 'skip' ? tables.writtenAt : undefined,
    unit: unit?.property === undefined ? undefined : { property: unit.property, value: unit.value },
    persistence: 'durable',
  };
}

function productFeedsOf({ events }: ImportProfilesGoal, catalogue: Catalogue): readonly ProductFeed[] {
  return events.flatMap(({ type, products }) => {
    const eventTypeId = catalogue.eventTypes.get(type)?.id;
    if (eventTypeId === undefined) return [];
    return products === undefined ? feedsOfTypes(catalogue, new Set([eventTypeId])) : [{ eventTypeId, ...products }];
  });
}

export function isImportSnapshot(snapshot: GoalSnapshot): snapshot is GoalSnapshot & { goal: ImportGoal } {
  return snapshot.goal.kind === 'import-profiles' || snapshot.goal.kind === 'import-groups';
}

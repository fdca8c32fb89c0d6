import type { Database } from '@millrace/database';
import type { GoalSnapshot, ImportProfilesGoal, PgpKeys } from '@millrace/domain';
import type { Unit, UnitContext, WakeUps } from '@millrace/job-queue';
import { ColumnIndex, compileImportRow, type Catalogue } from '@millrace/mapping';
import type { ObjectStore } from '@millrace/object-store';
import type { MergeShape } from '@millrace/profile-store';
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
  readonly configHash: string;
  readonly links: LinkPlan;
  readonly catalogue: Catalogue;
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

/** The parts of a goal that do not depend on a file. Throws InputError where the goal does not fit the workspace. */
export function outlineGoal(
  { goal, consentObjectives }: Pick<ImportJob, 'goal' | 'consentObjectives'>,
  catalogue: Catalogue,
): Pick<ImportJob, 'configHash' | 'links'> {
  const links = planLinks(goal);
  rowMapperOutline(goal, catalogue);
  return { configHash: configHash(goal, consentObjectives), links };
}

/** What staging holds follows from the goal alone: a frozen plan can be applied without reading the file again. */
function rowMapperOutline(goal: ImportProfilesGoal, catalogue: Catalogue): Pick<MergeShape, 'namespaceIds' | 'uses'> {
  const flag = goal.deleteFlag === undefined ? [] : [goal.deleteFlag];
  const named = [...goal.matching.identifiers, ...goal.mappings, ...goal.consent, ...flag].map(({ column }) => column);
  const columns = [...new Set(named)];
  return compileImportRow(goal, new ColumnIndex('the file', columns, columns.length), catalogue);
}

export interface NumberedTables {
  readonly stage: string;
  readonly plan: string;
  readonly chunkLines: number;
}

export function mergeShape(
  job: Pick<ImportJob, 'goal' | 'consentObjectives' | 'catalogue' | 'workspaceId'>,
  tables: NumberedTables,
): MergeShape {
  const { goal, consentObjectives, catalogue, workspaceId } = job;
  const { namespaceIds, uses } = rowMapperOutline(goal, catalogue);
  return {
    workspaceId,
    domainGroupId: catalogue.domainGroupId,
    staging: { schema: stagingSchema, name: stageName(tables.stage) },
    plan: { schema: stagingSchema, name: planName(tables.plan) },
    planLines: { schema: stagingSchema, name: `${planName(tables.plan)}_lines` },
    events: goal.events.length === 0 ? undefined : { schema: stagingSchema, name: eventTableName(tables.stage) },
    eventsHaveLinkedRows: true,
    namespaceIds,
    uses,
    allowCreation: goal.matching.allowCreation,
    policy: goal.matching.policy,
    maxComponentRows: goal.matching.maxComponentRows,
    chunkLines: tables.chunkLines,
    consentObjectives,
    persistence: 'durable',
  };
}

export function isImportSnapshot(snapshot: GoalSnapshot): snapshot is GoalSnapshot & { goal: ImportProfilesGoal } {
  return snapshot.goal.kind === 'import-profiles';
}

import type { Sql, Transaction } from '@millrace/database';
import { copyOptions } from '@millrace/delimited';
import { type Catalogue, compileExportEvents, type EventSeries } from '@millrace/mapping';
import type { ExportProfilesGoal } from '@millrace/domain';
import type { ExportPlan } from '../plan-export/export-plan.js';
import type { ExportTerms } from '../plan-export/goal-hash.js';
import { partitionsOfFile, plannedFile, profilesOfAudience, rowsOfFile } from '../plan-export/part-selection.js';
import { writesAlone } from '../plan-export/plan-export.js';
import type { ExportWork } from '../run-export/exporter.js';
import type { PartRow } from '../storage/parts.js';
import { tuneForOrder } from '../storage/selection-settings.js';
import { openSealed, type ReceiverSeals } from '../storage/receiver-seals.js';
import { copyStatement } from './copy-statement.js';
import type { FileLimits } from './cut-files.js';
import { headersOf, plainRows, processedRows, type ProcessingContext, type RowWriter } from './write-rows.js';

/** Where the rows of a part come from, and what is done to them here. */
export interface PartSource {
  readonly headers: readonly string[];
  readonly statement: Sql;
  /** What the transaction of the statement needs before. */
  readonly prepare: (tx: Transaction) => Promise<void>;
  /** Undefined: COPY writes the dialect itself. */
  readonly rows: RowWriter | undefined;
  /** The part's unit cuts what it reads into files of at most this. */
  readonly limits: FileLimits | undefined;
  /** Tables it reads, for a guess of its size. */
  readonly tables: readonly string[];
}

/** Of a file of events: its type and list, as one text. */
export function seriesName({ type, list }: Pick<EventSeries, 'type' | 'list'>): string {
  return list === undefined ? type : `${type}/${list}`;
}

/** @throws InputError where the goal does not fit the workspace any more */
export function partSource(
  { key, goal, snapshot }: ExportWork,
  plan: ExportPlan,
  part: PartRow,
  catalogue: Catalogue,
  processing: ProcessingContext,
  seals: ReceiverSeals,
): PartSource {
  const limits = { rows: goal.splitRows, bytes: goal.splitBytes };
  if (part.series === '') {
    const processed = goal.processors.length > 0;
    const options = processed ? undefined : copyOptions(goal.csv);
    const file = plannedFile(plan, part.number);
    return {
      headers: headersOf(goal),
      statement: copyStatement(rowsOfFile(key, plan, part.number, goal, snapshot, catalogue), options),
      prepare: async (tx) => {
        const { splitRows } = file;
        if (splitRows === undefined && plan.access === 'scan' && joinsMembersAlone(goal, snapshot))
          await tuneForOrder(tx);
        if (splitRows !== undefined && plan.mode === 'delta')
          await openSealed(tx, key, snapshot.workspaceId, { ...file, splitRows }, seals);
      },
      rows: processed ? processedRows(goal, processing) : options === undefined ? plainRows(goal.csv) : undefined,
      limits: writesAlone(goal) ? limits : undefined,
      tables: partitionsOfFile(file).map((partition) => `profile.profile_p${partition}`),
    };
  }
  const series = compileExportEvents(goal, catalogue).find((one) => seriesName(one) === part.series);
  if (series === undefined) throw new Error(`the goal has no files of ${part.series}`);
  const options = copyOptions(goal.csv);
  const profiles = profilesOfAudience(key, plan, part.audience, goal, snapshot, catalogue);
  return {
    headers: series.headers,
    statement: copyStatement(series.rows(profiles), options),
    prepare: async () => undefined,
    rows: options === undefined ? plainRows(goal.csv) : undefined,
    limits,
    tables: ['profile.event'],
  };
}

function joinsMembersAlone(
  { furtherSegmentIds, consentObjectives, requiredIdentity, deduplicate, audiences }: ExportProfilesGoal,
  terms: Pick<ExportTerms, 'consentObjectives'>,
): boolean {
  const oneSegment = furtherSegmentIds.length === 0 || audiences !== 'one-file';
  const consents = consentObjectives.length + terms.consentObjectives.length > 0;
  return oneSegment && !consents && requiredIdentity === undefined && deduplicate === undefined;
}

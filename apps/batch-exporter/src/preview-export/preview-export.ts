import { type Database, sql, type Transaction } from '@millrace/database';
import { formatHeader, rowFormatter } from '@millrace/delimited';
import { type ExportPreview, type ExportPreviewOrder, TransientError } from '@millrace/domain';
import { loadCatalogue } from '@millrace/profile-store';
import type { PlanCounts } from '../plan-export/export-plan.js';
import {
  addCounts,
  countSelection,
  type DecidedAudience,
  decideExport,
  selectAudiences,
} from '../plan-export/plan-export.js';
import { headersOf, processorSteps, type ProcessingContext } from '../write-part/write-rows.js';
import { warningsOf } from './warnings.js';

/** Of a workspace. */
type PseudonymKey = (workspaceId: number) => ProcessingContext['pseudonymKey'];

const sampleRows = 10;
const statementTimeoutMs = 20_000;
/** SQLSTATE query_canceled: what a statement timeout ends with. */
const queryCanceled = '57014';

/**
 * What the goal would export now, by the statements an export uses. Changes nothing.
 * @throws InputError as planning an export does; TransientError('preview-too-slow')
 */
export async function previewExport(
  database: Database,
  order: ExportPreviewOrder,
  pseudonymKey: PseudonymKey,
): Promise<ExportPreview> {
  try {
    return await database.transaction((tx) => preview(tx, order, pseudonymKey));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === queryCanceled)) throw error;
    throw new TransientError(
      'preview-too-slow',
      'counting the profiles took too long: try again when less is going on',
      {
        cause: error,
      },
    );
  }
}

async function preview(
  tx: Transaction,
  { workspaceId, goalId, goal, endpoint, consentObjectives }: ExportPreviewOrder,
  pseudonymKey: PseudonymKey,
): Promise<ExportPreview> {
  const catalogue = await loadCatalogue(tx, workspaceId);
  await tx.query(sql`
    SELECT set_config('statement_timeout', ${String(statementTimeoutMs)}, true), set_config('transaction_read_only', 'on', true)`);
  const { decision, audiences } = await decideExport(tx, goalId, goal, { endpoint, consentObjectives }, catalogue);
  const { members, touched, due = 0, withheld = 0, withheldBy = {} } = await countAll(tx, audiences);
  const steps = processorSteps(goal, { pseudonymKey: pseudonymKey(workspaceId), now: new Date() });
  const rows: (string | null)[][] = [];
  for (const { selection } of audiences) {
    const { rows: found } = await tx.query<{ fields: (string | null)[] }>(selection.sample(sampleRows - rows.length));
    for (const { fields } of found) {
      const processed = steps.apply(fields);
      if (processed !== undefined) rows.push(processed);
    }
  }
  const headers = [...headersOf(goal)];
  const format = rowFormatter(goal.csv);
  // In full, who is due is who is eligible.
  const everybody = selectAudiences(goalId, goal, { consentObjectives }, catalogue, undefined);
  const eligible = decision.mode === 'full' ? due : ((await countAll(tx, everybody)).due ?? 0);
  return {
    mode: decision.mode,
    ...(decision.mode === 'full' && decision.reason !== undefined ? { reason: decision.reason } : {}),
    members,
    eligible,
    ...(touched === undefined ? {} : { touched }),
    due,
    withheld,
    withheldBy,
    warnings: [...warningsOf(goal)],
    headers,
    rows,
    text: (goal.csv.header ? formatHeader(headers, goal.csv) : '') + rows.map((fields) => format(fields)).join(''),
  };
}

async function countAll(tx: Transaction, audiences: readonly DecidedAudience[]): Promise<PlanCounts> {
  const counted: PlanCounts[] = [];
  for (const { selection } of audiences) counted.push((await countSelection(tx, selection, true)).counts);
  return addCounts(counted);
}

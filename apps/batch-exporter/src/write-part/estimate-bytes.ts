import { type Executor, sql } from '@millrace/database';
import type { ExportProfilesGoal } from '@millrace/domain';
import { expectedRows, type ExportPlan } from '../plan-export/export-plan.js';
import type { PartSource } from './part-source.js';

/** Stored values may be compressed. */
const expansion = 4;
/** For a column that is not stored with the row (identities, segments), quotes and delimiters. */
const bytesPerColumn = 64;

/**
 * An upper bound of a file's bytes, generous: it fixes the size of the pieces an object store takes at most 10,000 of,
 * and that has to be right before the first of them is sent.
 */
export async function estimateBytes(
  executor: Executor,
  goal: ExportProfilesGoal,
  plan: ExportPlan,
  { tables, headers, limits }: Pick<PartSource, 'tables' | 'headers' | 'limits'>,
): Promise<number> {
  const { rows } = await executor.query<{ bytes: number }>(sql`
    SELECT sum(pg_total_relation_size(table_name::regclass))::float8 AS bytes FROM unnest(${tables}::text[]) AS table_name`);
  const fixedText = goal.columns.reduce(
    (bytes, { source }) => bytes + (source.kind === 'fixed' ? Buffer.byteLength(source.text) : 0),
    0,
  );
  const ofColumns = expectedRows(plan) * (headers.length * bytesPerColumn + fixedText);
  const whole = Math.ceil(expansion * (rows[0]?.bytes ?? 0) + ofColumns);
  // One row may be larger than what a file is to hold.
  return limits?.bytes === undefined ? whole : Math.min(whole, expansion * limits.bytes);
}

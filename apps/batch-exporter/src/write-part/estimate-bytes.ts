import { type Executor, sql } from '@millrace/database';
import type { ExportProfilesGoal } from '@millrace/domain';
import { expectedRows, type ExportPlan } from '../plan-export/export-plan.js';
import type { PartSource } from './part-source.js';

/** At least: of what a table takes, text may take this many times as much. */
const leastExpansion = 4;
/** Of each table, that are asked how much the server compresses them. */
const sampleRows = 50;
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
  const expansion = Math.max(leastExpansion, await compression(executor, tables));
  const fixedText = goal.columns.reduce(
    (bytes, { source }) => bytes + (source.kind === 'fixed' ? Buffer.byteLength(source.text) : 0),
    0,
  );
  const ofColumns = expectedRows(plan) * (headers.length * bytesPerColumn + fixedText);
  const whole = Math.ceil(expansion * (rows[0]?.bytes ?? 0) + ofColumns);
  // One row may be larger than what a file is to hold.
  return limits?.bytes === undefined ? whole : Math.min(whole, leastExpansion * limits.bytes);
}

/** How many times as long the properties of the first rows are as what is stored of them. */
async function compression(executor: Executor, tables: readonly string[]): Promise<number> {
  const samples = tables.map(
    (table) => sql`(SELECT properties FROM ${sql.id(...table.split('.'))} LIMIT ${sampleRows}::int)`,
  );
  const { rows } = await executor.query<{ ratio: number | null }>(sql`
    SELECT (sum(octet_length(properties::text)) / sum(pg_column_size(properties)))::float8 AS ratio
    FROM (${sql.join(samples, ' UNION ALL ')}) AS sample`);
  return rows[0]?.ratio ?? 1;
}

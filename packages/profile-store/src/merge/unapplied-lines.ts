import { sql, type Executor } from '@millrace/database';
import { tableOf, type MergeShape, type PlanStatus } from './merge-shape.js';

/** The rows held back as another organizational unit's, in file order, at most `limit`; while the plan is there. */
export async function otherUnitLines(executor: Executor, shape: MergeShape, limit: number): Promise<readonly number[]> {
  return linesOf(executor, shape, 'f', limit);
}

/** The rows that match nobody, in file order, at most `limit`; while the plan is there. */
export async function unmatchedLines(executor: Executor, shape: MergeShape, limit: number): Promise<readonly number[]> {
  return linesOf(executor, shape, 'u', limit);
}

async function linesOf(
  executor: Executor,
  shape: MergeShape,
  status: PlanStatus,
  limit: number,
): Promise<readonly number[]> {
  const [plan, lines] = [tableOf(shape.plan), tableOf(shape.planLines)];
  const { rows } = await executor.query<{ line: number }>(sql`
    SELECT pl.component::float8 AS line FROM ${plan} pl WHERE pl.status = ${status} AND pl.rows = 1
    UNION ALL
    SELECT l.line::float8 FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component WHERE pl.status = ${status} AND pl.rows > 1
    ORDER BY line LIMIT ${limit}`);
  return rows.map(({ line }) => line);
}

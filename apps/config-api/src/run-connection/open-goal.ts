import { sql, type Executor } from '@millrace/database';
import { goalSnapshot, goalUnitPayload, type GoalSnapshot } from '@millrace/domain';
import { openGoalUnit, type UnitQueue, type WakeUps } from '@millrace/job-queue';

const queueOfGoal = {
  'import-groups': 'import-run',
  'import-profiles': 'import-run',
  'export-profiles': 'export-run',
} as const;
export type RunnableKind = keyof typeof queueOfGoal;

export interface OpenedUnit {
  readonly queue: UnitQueue;
  readonly unitId: string;
}

/** Hands a queued goal of a run over to its worker, in the caller's transaction. Wake its queue after the commit. */
export async function openGoalOfRun(tx: Executor, runId: string, goalId: string): Promise<OpenedUnit> {
  const { rows } = await tx.query<{ snapshot: string; repeat_sums: boolean; dry_run: boolean }>(sql`
    SELECT g.snapshot, r.repeat_sums, r.dry_run FROM config.run_goal g JOIN config.run r ON r.id = g.run_id
    WHERE g.run_id = ${runId} AND g.goal_id = ${goalId} AND g.snapshot IS NOT NULL`);
  const [row] = rows;
  if (row === undefined) throw new Error(`goal ${goalId} of run ${runId} was handed over before`);
  const snapshot: GoalSnapshot = goalSnapshot.parse(JSON.parse(row.snapshot));
  const { kind } = snapshot.goal;
  if (kind === 'stream') throw new Error('a stream is no part of a run');
  const queue = queueOfGoal[kind];
  const { unitId } = await openGoalUnit(tx, {
    queue,
    runId,
    goalId,
    snapshot,
    payload: goalUnitPayload.parse({ version: 1, repeatSums: row.repeat_sums, dryRun: row.dry_run }),
  });
  await tx.query(sql`
    UPDATE config.run_goal SET unit_id = ${unitId}, snapshot = NULL WHERE run_id = ${runId} AND goal_id = ${goalId}`);
  return { queue, unitId };
}

/** After the commit; a lost wake-up is found by the worker's sweep. */
export async function wakeUnits(wakeUps: WakeUps, units: readonly OpenedUnit[]): Promise<void> {
  for (const { queue, unitId } of units) await wakeUps.wake(queue, { version: 1, unitId });
}

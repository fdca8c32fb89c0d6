import { sql, type Transaction } from '@millrace/database';
import { hears, type AlertEvent, type ErrorSummary } from '@millrace/domain';
import type { RunGoalProgress, RunProgress } from '../run-connection/advance-run.js';
import { isOver } from '../run-connection/run-views.js';
import { closeIncident, openIncident, queueAlert, rulesOf, type ListeningRule, type Told } from './queue-alerts.js';
import { isAbove, percentOf, rowShares } from './row-shares.js';

interface RunFacts {
  readonly id: string;
  readonly connectionId: string;
  readonly goals: ReadonlyMap<string, { readonly name: string; readonly kind: string }>;
}

/**
 * Tells of what a step of a run means, in the transaction that writes the step down: neither is there without the other.
 * Dry runs are rehearsals and tell nobody.
 */
export async function raiseRunAlerts(
  tx: Transaction,
  runId: string,
  before: RunProgress,
  after: RunProgress,
): Promise<void> {
  const started = before.state === 'queued' && after.state !== 'queued';
  const ended = !isOver(before.state) && isOver(after.state);
  const counted = after.goals.filter(
    (goal, index) => goal.state === 'succeeded' && newCounts(before.goals[index], goal),
  );
  if (!started && !ended && counted.length === 0) return;
  const run = await readRun(tx, runId);
  if (run === undefined) return;
  const rules = (await rulesOf(tx, [run.connectionId])).get(run.connectionId) ?? [];
  for (const rule of rules) {
    if (started) await tell(tx, rule, run, 'started', `${nameOf(rule)}: a run has started`);
    for (const goal of counted) await judgeRows(tx, rule, run, goal);
    if (ended) await tellEnd(tx, rule, run, after);
  }
}

function newCounts(before: RunGoalProgress | undefined, after: RunGoalProgress): boolean {
  return before?.state !== after.state || before.counts !== after.counts;
}

async function readRun(tx: Transaction, runId: string): Promise<RunFacts | undefined> {
  const { rows } = await tx.query<{ connection_id: string; goal_id: string; name: string; kind: string }>(sql`
    SELECT r.connection_id, g.goal_id, g.name, g.kind FROM config.run r JOIN config.run_goal g ON g.run_id = r.id
    WHERE r.id = ${runId} AND NOT r.dry_run`);
  const [first] = rows;
  if (first === undefined) return undefined;
  const goals = new Map(rows.map(({ goal_id: id, name, kind }) => [id, { name, kind }]));
  return { id: runId, connectionId: first.connection_id, goals };
}

async function tell(
  tx: Transaction,
  rule: ListeningRule,
  run: RunFacts,
  event: AlertEvent,
  text: string,
  more: Pick<Told, 'goal' | 'error' | 'figures'> = {},
): Promise<boolean> {
  if (!hears(rule.document, event)) return false;
  const occurrence = ['run', run.id, event, ...(more.goal === undefined ? [] : [more.goal.id])].join(':');
  await queueAlert(tx, rule, occurrence, { event, recovered: false, text, run: { id: run.id }, ...more });
  return true;
}

async function tellEnd(tx: Transaction, rule: ListeningRule, run: RunFacts, after: RunProgress): Promise<void> {
  const name = nameOf(rule);
  const failure = { subject: run.connectionId, event: 'failed' } as const;
  const delay = { subject: run.id, event: 'delayed' } as const;
  const wasDelayed = await closeIncident(tx, rule, delay);
  if (after.state === 'failed') {
    const failed = after.goals.find(({ state }) => state === 'failed');
    const goal = failed === undefined ? undefined : goalOf(run, failed.goalId);
    const error = failed?.error ?? undefined;
    const told = await tell(tx, rule, run, 'failed', `${name}: a run has failed${why(goal?.name, error)}`, {
      ...(goal === undefined ? {} : { goal }),
      ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
    });
    if (told) await openIncident(tx, rule, failure);
    // Who was told that it failed knows that it is over.
    if (told) return;
  }
  if (wasDelayed !== undefined)
    await recovered(tx, rule, run, 'delayed', `${name}: the run that was delayed is over, it has ${after.state}`);
  if (after.state === 'cancelled') await tell(tx, rule, run, 'cancelled', `${name}: a run was cancelled`);
  if (after.state !== 'succeeded') return;
  await tell(tx, rule, run, 'succeeded', `${name}: a run has succeeded`);
  if ((await closeIncident(tx, rule, failure)) !== undefined)
    await recovered(tx, rule, run, 'failed', `${name}: runs succeed again`);
}

async function judgeRows(
  tx: Transaction,
  rule: ListeningRule,
  run: RunFacts,
  { goalId, counts }: RunGoalProgress,
): Promise<void> {
  const goal = goalOf(run, goalId);
  for (const share of rowShares(run.goals.get(goalId)?.kind ?? '', counts)) {
    const { event, rows, of } = share;
    const { rejectedPercent, skippedPercent } = rule.document;
    const limit = event === 'rejected' ? rejectedPercent : skippedPercent;
    const percent = percentOf(share);
    const figures = { rows, of, percent, limitPercent: limit };
    const words = `${nameOf(rule)}, goal "${goal.name}": ${percent} % of ${of} rows were ${event === 'rejected' ? 'rejected or ambiguous' : 'skipped'}`;
    const incident = { subject: goalId, event };
    if (isAbove(share, limit)) {
      if (await tell(tx, rule, run, event, `${words}, more than ${limit} %`, { goal, figures }))
        await openIncident(tx, rule, incident);
    } else if ((await closeIncident(tx, rule, incident)) !== undefined) {
      await recovered(tx, rule, run, event, `${words}, no more than ${limit} % again`, { goal, figures });
    }
  }
}

async function recovered(
  tx: Transaction,
  rule: ListeningRule,
  run: RunFacts,
  event: AlertEvent,
  text: string,
  more: Pick<Told, 'goal' | 'figures'> = {},
): Promise<void> {
  const occurrence = ['run', run.id, event, 'recovered', ...(more.goal === undefined ? [] : [more.goal.id])].join(':');
  await queueAlert(tx, rule, occurrence, { event, recovered: true, text, run: { id: run.id }, ...more });
}

function goalOf(run: RunFacts, id: string): { readonly id: string; readonly name: string } {
  return { id, name: run.goals.get(id)?.name ?? '' };
}

function nameOf({ connection }: ListeningRule): string {
  return `connection "${connection.name}"`;
}

function why(goal: string | undefined, error: ErrorSummary | undefined): string {
  return `${goal === undefined ? '' : ` at goal "${goal}"`}${error === undefined ? '' : `: ${error.message}`}`;
}

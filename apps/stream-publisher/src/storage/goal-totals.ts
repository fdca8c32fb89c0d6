import { sql, type Executor } from '@millrace/database';

/** What a goal did. */
export interface GoalCounts {
  records: number;
  bytes: number;
  retries: number;
  throttled: number;
  deadLetters: number;
  withheld: number;
  withdrawn: number;
  erased: number;
}

export const noCounts: Readonly<GoalCounts> = {
  records: 0,
  bytes: 0,
  retries: 0,
  throttled: 0,
  deadLetters: 0,
  withheld: 0,
  withdrawn: 0,
  erased: 0,
};

/** Adds up over all publishers. Counts of goals that are gone are dropped. */
export async function addGoalCounts(
  executor: Executor,
  counts: ReadonlyMap<string, Readonly<GoalCounts>>,
): Promise<void> {
  const goals = [...counts.keys()];
  const column = (name: keyof GoalCounts): readonly number[] => [...counts.values()].map((count) => count[name]);
  await executor.query(sql`
    INSERT INTO publisher.goal_total AS t (goal_id, records, bytes, retries, throttled, dead_letters, withheld, withdrawn, erased, last_sent_at)
    SELECT g.goal_id, c.records, c.bytes, c.retries, c.throttled, c.dead_letters, c.withheld, c.withdrawn, c.erased,
      CASE WHEN c.records > 0 THEN now() END
    FROM unnest(${goals}::uuid[], ${column('records')}::bigint[], ${column('bytes')}::bigint[], ${column('retries')}::bigint[],
      ${column('throttled')}::bigint[], ${column('deadLetters')}::bigint[], ${column('withheld')}::bigint[],
      ${column('withdrawn')}::bigint[], ${column('erased')}::bigint[])
      AS c (goal_id, records, bytes, retries, throttled, dead_letters, withheld, withdrawn, erased)
    JOIN publisher.goal g ON g.goal_id = c.goal_id
    ORDER BY g.goal_id
    ON CONFLICT (goal_id) DO UPDATE SET
      records = t.records + excluded.records, bytes = t.bytes + excluded.bytes, retries = t.retries + excluded.retries,
      throttled = t.throttled + excluded.throttled, dead_letters = t.dead_letters + excluded.dead_letters,
      withheld = t.withheld + excluded.withheld, withdrawn = t.withdrawn + excluded.withdrawn, erased = t.erased + excluded.erased,
      last_sent_at = COALESCE(excluded.last_sent_at, t.last_sent_at)`);
}

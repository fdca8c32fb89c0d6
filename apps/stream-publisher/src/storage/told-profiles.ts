import { sql, type Executor } from '@millrace/database';

/** Of these profiles, those the goal's stream knows or may know. */
export async function readTold(
  executor: Executor,
  goalId: string,
  profileIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await executor.query<{ profile_id: string }>(sql`
    SELECT profile_id FROM publisher.told WHERE goal_id = ${goalId} AND profile_id = ANY (${`{${profileIds.join(',')}}`}::uuid[])`);
  return new Set(rows.map((row) => row.profile_id));
}

/** To be called before the first record of a profile is sent: whatever becomes of the request, a withdrawal is told. */
export async function noteTold(executor: Executor, goalId: string, profileIds: readonly string[]): Promise<void> {
  await executor.query(sql`
    INSERT INTO publisher.told (goal_id, profile_id)
    SELECT g.goal_id, new.profile_id
    FROM publisher.goal g CROSS JOIN unnest(${`{${profileIds.join(',')}}`}::uuid[]) AS new (profile_id)
    WHERE g.goal_id = ${goalId}
    ORDER BY new.profile_id
    ON CONFLICT DO NOTHING`);
}

/** The stream took the record that takes these profiles back. */
export async function forgetTold(
  executor: Executor,
  back: readonly { readonly goalId: string; readonly profileId: string }[],
): Promise<void> {
  await executor.query(sql`
    DELETE FROM publisher.told t
    USING unnest(${back.map(({ goalId }) => goalId)}::uuid[], ${back.map(({ profileId }) => profileId)}::uuid[]) AS k (goal_id, profile_id)
    WHERE t.goal_id = k.goal_id AND t.profile_id = k.profile_id`);
}

/** A goal that did not ask for consent until now: everyone in its segments may have been sent. */
export async function noteAllTold(executor: Executor, goalId: string, segmentIds: readonly string[]): Promise<void> {
  await executor.query(sql`
    INSERT INTO publisher.told (goal_id, profile_id)
    SELECT DISTINCT ${goalId}::uuid, m.profile_id FROM profile.membership m
    WHERE m.segment_id = ANY (${segmentIds}::uuid[]) AND m.status = 'realized'
    ON CONFLICT DO NOTHING`);
}

/** The goal does not ask for consent any more. */
export async function forgetAllTold(executor: Executor, goalId: string): Promise<void> {
  await executor.query(sql`DELETE FROM publisher.told WHERE goal_id = ${goalId}`);
}

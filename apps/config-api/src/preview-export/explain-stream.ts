import { sql, type Executor } from '@millrace/database';
import type { Connection, ExplainedCondition, Explanation, StreamGoal } from '@millrace/domain';

/** Why a stream goal keeps its receiver up to date about a profile, or not. */
export async function explainStream(
  executor: Executor,
  workspaceId: number,
  goal: StreamGoal,
  connection: Connection,
  profileId: string,
): Promise<Explanation> {
  const { consentObjectives } = connection;
  const { rows } = await executor.query<{
    found: boolean;
    erased_at: Date | null;
    realized: string[];
    consents: boolean;
  }>(sql`
    SELECT EXISTS (SELECT FROM profile.profile WHERE id = ${profileId} AND workspace_id = ${workspaceId}) AS found,
      (SELECT erased_at FROM profile.tombstone WHERE profile_id = ${profileId} AND workspace_id = ${workspaceId}) AS erased_at,
      ARRAY(SELECT s.name FROM profile.membership m JOIN profile.segment s ON s.id = m.segment_id
        WHERE m.profile_id = ${profileId} AND s.workspace_id = ${workspaceId} AND m.status = 'realized'
          AND m.segment_id = ANY (${goal.segmentIds}::uuid[]) ORDER BY s.name) AS realized,
      EXISTS (SELECT FROM profile.consent c WHERE c.profile_id = ${profileId}
        AND c.objective = ANY (${consentObjectives}::text[]) AND c.granted) AS consents`);
  const { found, erased_at: erasedAt, realized, consents } = rows[0]!;
  const active = goal.active && connection.active;
  const conditions: ExplainedCondition[] = [
    {
      condition: 'active',
      met: active,
      answer: active ? 'the goal and its connection are switched on' : 'the goal or its connection is switched off',
    },
    { condition: 'exists', met: found, answer: existence(found, erasedAt) },
    {
      condition: 'in-segment',
      met: realized.length > 0,
      answer:
        realized.length > 0
          ? `in ${realized.map((name) => JSON.stringify(name)).join(', ')}`
          : 'in none of the segments of the goal',
    },
    ...(consentObjectives.length === 0
      ? []
      : [
          {
            condition: 'no-consent',
            met: consents,
            answer: consents
              ? 'it consents to an objective of the connection'
              : 'it has not consented to any objective of the connection',
          },
        ]),
  ];
  const included = conditions.every(({ met }) => met);
  return { profileId, included, mode: 'stream', audiences: [{ segmentIds: goal.segmentIds, included, conditions }] };
}

function existence(found: boolean, erasedAt: Date | null): string {
  if (found) return 'the workspace has this profile';
  return erasedAt === null
    ? 'the workspace has no such profile'
    : `the profile was erased at ${erasedAt.toISOString()}: only a tombstone is left`;
}

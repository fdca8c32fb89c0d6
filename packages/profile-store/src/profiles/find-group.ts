import { sql, type Executor } from '@millrace/database';

/** A group with the number of its members, as JSON text with every digit kept, or undefined. Properties are flat. */
export async function findGroup(
  executor: Executor,
  workspaceId: number,
  type: string,
  key: string,
): Promise<string | undefined> {
  const { rows } = await executor.query<{ document: string }>(sql`
    SELECT jsonb_build_object('type', t.code, 'key', g.key, 'properties', g.properties,
      'members', (SELECT count(*) FROM profile.group_member gm WHERE gm.group_id = g.id),
      'updatedAt', to_char(g.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS document
    FROM profile.group g JOIN profile.group_type t ON t.id = g.group_type_id
    WHERE t.workspace_id = ${workspaceId} AND t.code = ${type} AND g.key = ${key}`);
  return rows[0]?.document;
}

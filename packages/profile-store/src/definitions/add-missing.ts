import { sql, type Executor } from '@millrace/database';
import { InputError, prefixClash, type GroupProperty } from '@millrace/domain';

/** Names of what a goal maps to, with its place in the goal, for messages. */
export interface MissingProperty extends GroupProperty {
  readonly at: string;
}

/**
 * Adds the properties a goal brings with it: to the workspace, or to a group type, whose definitions the caller holds alone. One that
 * is there by now stays as it is.
 * @throws InputError `property-prefix` naming the field of the goal
 */
export async function addMissingProperties(
  executor: Executor,
  workspaceId: number,
  groupType: string | undefined,
  missing: readonly MissingProperty[],
): Promise<void> {
  // One at a time per workspace: the check for clashes reads the others.
  await executor.query(sql`SELECT FROM profile.workspace WHERE id = ${workspaceId} FOR UPDATE`);
  const known = await namesOf(executor, workspaceId, groupType);
  for (const { name, at } of missing) {
    const clash = prefixClash([...known, name]);
    if (clash !== undefined)
      throw new InputError(
        'property-prefix',
        `${JSON.stringify(clash[0])} cannot stand beside ${JSON.stringify(clash[1])}: one would be nested in the other; name another property`,
        { at },
      );
    known.push(name);
  }
  for (const { name, type, list } of missing) {
    await executor.query(
      groupType === undefined
        ? sql`
          INSERT INTO profile.property (workspace_id, name, type, is_list) VALUES (${workspaceId}, ${name}, ${type}, ${list})
          ON CONFLICT DO NOTHING`
        : sql`
          UPDATE profile.group_type SET properties = properties || ${JSON.stringify([{ name, type, list }])}::jsonb
          WHERE workspace_id = ${workspaceId} AND code = ${groupType}
            AND NOT properties @> ${JSON.stringify([{ name }])}::jsonb`,
    );
  }
}

async function namesOf(executor: Executor, workspaceId: number, groupType: string | undefined): Promise<string[]> {
  const { rows } = await executor.query<{ name: string }>(
    groupType === undefined
      ? sql`SELECT name FROM profile.property WHERE workspace_id = ${workspaceId}`
      : sql`SELECT p.value->>'name' AS name FROM profile.group_type t CROSS JOIN LATERAL jsonb_array_elements(t.properties) AS p (value)
            WHERE t.workspace_id = ${workspaceId} AND t.code = ${groupType}`,
  );
  return rows.map(({ name }) => name);
}

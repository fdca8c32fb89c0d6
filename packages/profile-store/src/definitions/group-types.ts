import { sql, type Database, type Executor } from '@millrace/database';
import { InputError, prefixClash, type GroupProperty, type GroupType } from '@millrace/domain';
import { lockDefinitions } from './lock-definitions.js';

/** InputError `group-type-conflict` where the code is taken. */
export async function createGroupType(
  executor: Executor,
  workspaceId: number,
  definition: GroupType,
): Promise<GroupType> {
  const { rowCount } = await executor.query(sql`
    INSERT INTO profile.group_type (workspace_id, code, properties)
    VALUES (${workspaceId}, ${definition.code}, ${JSON.stringify(definition.properties)}::jsonb) ON CONFLICT DO NOTHING`);
  if (rowCount === 0)
    throw new InputError('group-type-conflict', `the group type ${JSON.stringify(definition.code)} exists already`, {
      at: 'code',
    });
  return definition;
}

/** By code. */
export async function listGroupTypes(executor: Executor, workspaceId: number): Promise<readonly GroupType[]> {
  const { rows } = await executor.query<{ code: string; properties: string }>(
    sql`SELECT code, properties FROM profile.group_type WHERE workspace_id = ${workspaceId} ORDER BY code`,
  );
  return rows.map(({ code, properties }) => ({ code, properties: JSON.parse(properties) as GroupType['properties'] }));
}

/**
 * Declares a further property of a group type. Nothing is ever taken away: goals, segments and groups rely on it.
 * @throws InputError `group-type-not-found`, `group-property-conflict`, `group-property-prefix`
 */
export async function addGroupProperty(
  database: Database,
  workspaceId: number,
  code: string,
  added: GroupProperty,
): Promise<GroupType> {
  return database.transaction(async (tx) => {
    await lockDefinitions(tx, workspaceId, 'exclusive');
    const found = (await listGroupTypes(tx, workspaceId)).find((type) => type.code === code);
    if (found === undefined)
      throw new InputError('group-type-not-found', `the workspace has no group type ${JSON.stringify(code)}`);
    const properties = [...found.properties, added];
    if (found.properties.some(({ name }) => name === added.name))
      throw new InputError(
        'group-property-conflict',
        `the group type has the property ${JSON.stringify(added.name)} already`,
        { at: 'name' },
      );
    const clash = prefixClash(properties.map(({ name }) => name));
    if (clash !== undefined)
      throw new InputError(
        'group-property-prefix',
        `${JSON.stringify(clash[0])} cannot stand beside ${JSON.stringify(clash[1])}: one would be nested in the other`,
        { at: 'name' },
      );
    await tx.query(sql`
      UPDATE profile.group_type SET properties = ${JSON.stringify(properties)}::jsonb
      WHERE workspace_id = ${workspaceId} AND code = ${code}`);
    return { code, properties };
  });
}

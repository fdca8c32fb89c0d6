import { sql, type Database, type Executor, type Sql, type Transaction } from '@millrace/database';
import { InputError, prefixClash, type GroupProperty, type GroupType, type PropertyType } from '@millrace/domain';
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
    await refuseMisfits(tx, workspaceId, code, added);
    await tx.query(sql`
      UPDATE profile.group_type SET properties = ${JSON.stringify(properties)}::jsonb
      WHERE workspace_id = ${workspaceId} AND code = ${code}`);
    return { code, properties };
  });
}

/** Whether a JSON value `e.value` is one of the type, as far as that is known without reading dates. */
const fits: Readonly<Record<PropertyType, Sql>> = {
  string: sql`jsonb_typeof(e.value) = 'string'`,
  integer: sql`jsonb_typeof(e.value) = 'number' AND e.value::numeric = trunc(e.value::numeric)`,
  decimal: sql`jsonb_typeof(e.value) = 'number'`,
  boolean: sql`jsonb_typeof(e.value) = 'boolean'`,
  date: sql`e.value #>> '{}' ~ '^\\d{4}-\\d{2}-\\d{2}$'`,
  timestamp: sql`e.value #>> '{}' ~ '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z$'`,
};

/** Groups made through the API may hold the property already: what they hold must fit, or imports could not merge into it. */
async function refuseMisfits(
  tx: Transaction,
  workspaceId: number,
  code: string,
  { name, type, list }: GroupProperty,
): Promise<void> {
  const held = sql`g.properties->${name}::text`;
  const isList = sql`jsonb_typeof(${held}) = 'array'`;
  const { rows } = await tx.query<{ groups: number }>(sql`
    SELECT count(*)::float8 AS groups FROM profile.group g JOIN profile.group_type t ON t.id = g.group_type_id
    WHERE t.workspace_id = ${workspaceId} AND t.code = ${code} AND g.properties ? ${name}::text AND (
      ${list ? sql`false` : isList}
      OR EXISTS (SELECT FROM jsonb_array_elements(CASE WHEN ${isList} THEN ${held} ELSE jsonb_build_array(${held}) END) AS e (value)
        WHERE NOT (${fits[type]})))`);
  const groups = rows[0]!.groups;
  if (groups === 0) return;
  throw new InputError(
    'group-property-conflict',
    `${groups} ${groups === 1 ? 'group holds' : 'groups hold'} another kind of value under ${JSON.stringify(name)}: change these first, or declare what they hold`,
    { at: 'type' },
  );
}

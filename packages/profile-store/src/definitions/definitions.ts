import { sql, type Database, type Executor, type Sql, type Transaction } from '@millrace/database';
import {
  defaultNamespaces,
  identityNamespace,
  InputError,
  orderEventType,
  permissionLevel,
  prefixClash,
  property,
  type EventType,
  type IdentityNamespace,
  type Property,
  type Workspace,
} from '@millrace/domain';

export interface WorkspaceRecord extends Workspace {
  readonly id: number;
  readonly createdAt: Date;
}

/** Inserts and returns the one row, or throws InputError('<noun>-conflict') where the name is taken. */
async function insertNew<Row>(executor: Executor, noun: string, name: string, insert: Sql): Promise<Row> {
  const { rows } = await executor.query<Row>(insert);
  const row = rows[0];
  if (row === undefined)
    throw new InputError(`${noun}-conflict`, `the ${noun.replace('-', ' ')} ${JSON.stringify(name)} exists already`, {
      at: 'name',
    });
  return row;
}

/** A new workspace with its default domain group, identity namespaces, the event type `order` and the property `permissionLevel`. */
export async function createWorkspace(database: Database, workspace: Workspace): Promise<WorkspaceRecord> {
  return database.transaction(async (tx) => {
    const created = await insertNew<WorkspaceRecord>(
      tx,
      'workspace',
      workspace.name,
      sql`INSERT INTO profile.workspace (name, title) VALUES (${workspace.name}, ${workspace.title})
          ON CONFLICT DO NOTHING RETURNING id, name, title, created_at AS "createdAt"`,
    );
    await tx.query(
      sql`INSERT INTO profile.domain_group (workspace_id, name, is_default) VALUES (${created.id}, 'default', true)`,
    );
    for (const namespace of defaultNamespaces) await createNamespace(tx, created.id, namespace);
    await createEventType(tx, created.id, orderEventType);
    await createProperty(tx, created.id, property.parse({ name: permissionLevel }));
    return created;
  });
}

export async function listWorkspaces(executor: Executor): Promise<readonly WorkspaceRecord[]> {
  const { rows } = await executor.query<WorkspaceRecord>(
    sql`SELECT id, name, title, created_at AS "createdAt" FROM profile.workspace ORDER BY name`,
  );
  return rows;
}

/** InputError('workspace-not-found'). */
export async function findWorkspace(executor: Executor, name: string): Promise<WorkspaceRecord> {
  const { rows } = await executor.query<WorkspaceRecord>(
    sql`SELECT id, name, title, created_at AS "createdAt" FROM profile.workspace WHERE name = ${name}`,
  );
  const row = rows[0];
  if (row === undefined) throw new InputError('workspace-not-found', `there is no workspace ${JSON.stringify(name)}`);
  return row;
}

export interface PropertyRecord extends Property {
  readonly id: number;
}

/** A unique property gets an identity namespace of its own name. InputError on a taken name or a dotted-prefix clash. */
export async function createProperty(
  tx: Transaction,
  workspaceId: number,
  property: Property,
): Promise<PropertyRecord> {
  // One at a time per workspace: the clash check reads the others.
  await tx.query(sql`SELECT FROM profile.workspace WHERE id = ${workspaceId} FOR UPDATE`);
  const existing = await listProperties(tx, workspaceId);
  const clash = prefixClash([...existing.map(({ name }) => name), property.name]);
  if (clash !== undefined) {
    throw new InputError(
      'property-prefix',
      `${JSON.stringify(clash[0])} cannot stand beside ${JSON.stringify(clash[1])}: one would be nested in the other`,
      {
        at: 'name',
      },
    );
  }
  const { rows } = await tx.query<{ id: number }>(sql`
    INSERT INTO profile.property (workspace_id, name, type, is_list, is_unique, labels)
    VALUES (${workspaceId}, ${property.name}, ${property.type}, ${property.list}, ${property.unique}, ${property.labels}::text[])
    ON CONFLICT DO NOTHING RETURNING id`);
  const row = rows[0];
  if (row === undefined)
    throw new InputError('property-conflict', `the property ${JSON.stringify(property.name)} exists already`, {
      at: 'name',
    });
  if (property.unique) {
    const namespace = identityNamespace.safeParse({ code: property.name });
    if (!namespace.success) {
      throw new InputError(
        'property-unique-name',
        'a unique property is an identity namespace too, so its name may only hold letters, digits, "_", "." and "-"',
        {
          at: 'name',
        },
      );
    }
    await createNamespace(tx, workspaceId, namespace.data);
  }
  return { id: row.id, ...property };
}

export async function listProperties(executor: Executor, workspaceId: number): Promise<readonly PropertyRecord[]> {
  const { rows } = await executor.query<PropertyRecord>(sql`
    SELECT id, name, type, is_list AS list, is_unique AS "unique", labels FROM profile.property WHERE workspace_id = ${workspaceId} ORDER BY name`);
  return rows;
}

export interface NamespaceRecord extends IdentityNamespace {
  readonly id: number;
}

export async function createNamespace(
  executor: Executor,
  workspaceId: number,
  namespace: IdentityNamespace,
): Promise<NamespaceRecord> {
  const { id } = await insertNew<{ id: number }>(
    executor,
    'namespace',
    namespace.code,
    sql`INSERT INTO profile.identity_namespace (workspace_id, code, kind, normalisation)
        VALUES (${workspaceId}, ${namespace.code}, ${namespace.kind}, ${JSON.stringify(namespace.normalisation)}::jsonb)
        ON CONFLICT DO NOTHING RETURNING id`,
  );
  return { id, ...namespace };
}

export async function listNamespaces(executor: Executor, workspaceId: number): Promise<readonly NamespaceRecord[]> {
  const { rows } = await executor.query<{ id: number; code: string; kind: string; normalisation: string }>(
    sql`SELECT id, code, kind, normalisation FROM profile.identity_namespace WHERE workspace_id = ${workspaceId} ORDER BY code`,
  );
  return rows.map((row) => ({
    id: row.id,
    ...identityNamespace.parse({ ...row, normalisation: JSON.parse(row.normalisation) }),
  }));
}

export interface EventTypeRecord extends EventType {
  readonly id: number;
}

export async function createEventType(
  executor: Executor,
  workspaceId: number,
  eventType: EventType,
): Promise<EventTypeRecord> {
  const { id } = await insertNew<{ id: number }>(
    executor,
    'event-type',
    eventType.code,
    sql`INSERT INTO profile.event_type (workspace_id, code, definition) VALUES (${workspaceId}, ${eventType.code}, ${JSON.stringify(eventType)}::jsonb)
        ON CONFLICT DO NOTHING RETURNING id`,
  );
  return { id, ...eventType };
}

export async function listEventTypes(executor: Executor, workspaceId: number): Promise<readonly EventTypeRecord[]> {
  const { rows } = await executor.query<{ id: number; definition: string }>(
    sql`SELECT id, definition FROM profile.event_type WHERE workspace_id = ${workspaceId} ORDER BY code`,
  );
  return rows.map(({ id, definition }) => ({ id, ...(JSON.parse(definition) as EventType) }));
}

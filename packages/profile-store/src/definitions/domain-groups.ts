import { isUniqueViolation, sql, type Executor, type Sql, type Transaction } from '@millrace/database';
import { InputError, type DomainGroup } from '@millrace/domain';
import { lockDefinitions } from './lock-definitions.js';

export interface DomainGroupRecord extends DomainGroup {
  readonly id: string;
  /** The one a workspace begins with, and whoever names none means. */
  readonly default: boolean;
  readonly createdAt: Date;
}

const record = sql`public_id AS id, name, is_default AS "default", created_at AS "createdAt"`;

/** The default one first, then by name. */
export async function listDomainGroups(executor: Executor, workspaceId: number): Promise<readonly DomainGroupRecord[]> {
  const { rows } = await executor.query<DomainGroupRecord>(sql`
    SELECT ${record} FROM profile.domain_group WHERE workspace_id = ${workspaceId} ORDER BY is_default DESC, name`);
  return rows;
}

/** @throws InputError `domain-group-conflict` where the name is taken */
export async function createDomainGroup(
  executor: Executor,
  workspaceId: number,
  group: DomainGroup,
): Promise<DomainGroupRecord> {
  const row = await named(
    executor,
    group,
    sql`INSERT INTO profile.domain_group (workspace_id, name) VALUES (${workspaceId}, ${group.name}) RETURNING ${record}`,
  );
  return row!;
}

/** @throws InputError `domain-group-not-found`, `domain-group-conflict` */
export async function renameDomainGroup(
  executor: Executor,
  workspaceId: number,
  id: string,
  group: DomainGroup,
): Promise<DomainGroupRecord> {
  const row = await named(
    executor,
    group,
    sql`UPDATE profile.domain_group SET name = ${group.name}
      WHERE workspace_id = ${workspaceId} AND public_id = ${id}::uuid RETURNING ${record}`,
  );
  if (row === undefined) throw notFound();
  return row;
}

async function named(executor: Executor, { name }: DomainGroup, write: Sql): Promise<DomainGroupRecord | undefined> {
  try {
    return (await executor.query<DomainGroupRecord>(write)).rows[0];
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new InputError('domain-group-conflict', `the domain group ${JSON.stringify(name)} exists already`, {
      at: 'name',
    });
  }
}

/**
 * Deletes a domain group that no profile belongs to. Holds the definitions alone: whoever writes profiles looks under the same
 * lock, shared, whether their domain group is still there. Its tombstones stay for exports to tell of.
 * @throws InputError `domain-group-not-found`; `domain-group-default-conflict`; `domain-group-in-use-conflict`
 */
export async function deleteDomainGroup(tx: Transaction, workspaceId: number, id: string): Promise<void> {
  await lockDefinitions(tx, workspaceId, 'exclusive');
  // A profile is made with an identity and keeps it, and identities are found by their domain group.
  const { rows } = await tx.query<{ is_default: boolean; used: boolean }>(sql`
    SELECT g.is_default, EXISTS (SELECT FROM profile.identity i WHERE i.domain_group_id = g.id) AS used
    FROM profile.domain_group g WHERE g.workspace_id = ${workspaceId} AND g.public_id = ${id}::uuid`);
  const [group] = rows;
  if (group === undefined) throw notFound();
  if (group.is_default)
    throw new InputError('domain-group-default-conflict', 'the default domain group cannot be deleted, only renamed');
  if (group.used)
    throw new InputError(
      'domain-group-in-use-conflict',
      'profiles belong to this domain group: erase them before it is deleted',
    );
  await tx.query(sql`DELETE FROM profile.domain_group WHERE workspace_id = ${workspaceId} AND public_id = ${id}::uuid`);
}

function notFound(): InputError {
  return new InputError('domain-group-not-found', 'there is no such domain group in this workspace');
}

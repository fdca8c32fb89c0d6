import { sql, type Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { deleteDomainGroup } from '@millrace/profile-store';

/** @throws InputError as `deleteDomainGroup`; `domain-group-in-use-conflict` naming the goals that import into it. */
export async function deleteUnusedDomainGroup(database: Database, workspaceId: number, id: string): Promise<void> {
  await database.transaction(async (tx) => {
    await deleteDomainGroup(tx, workspaceId, id);
    const { rows } = await tx.query<{ name: string }>(sql`
      SELECT name FROM config.goal
      WHERE workspace_id = ${workspaceId} AND lower(document->'matching'->>'domainGroupId') = ${id.toLowerCase()} ORDER BY name`);
    if (rows.length === 0) return;
    const names = rows.map(({ name }) => JSON.stringify(name)).join(', ');
    throw new InputError(
      'domain-group-in-use-conflict',
      `the domain group is used by ${names}: change or delete these goals first`,
    );
  });
}

import { sql, type Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { deleteLifecycle } from '@millrace/profile-store';

/** @throws InputError `lifecycle-not-found`; `lifecycle-in-use-conflict` naming the goals that write its stage. */
export async function deleteUnusedLifecycle(database: Database, workspaceId: number, id: string): Promise<void> {
  await database.transaction(async (tx) => {
    await deleteLifecycle(tx, workspaceId, id);
    // Its id is a uuid, so it cannot stand in a document by chance.
    const { rows } = await tx.query<{ name: string }>(sql`
      SELECT name FROM config.goal
      WHERE workspace_id = ${workspaceId} AND strpos(document::text, ${id.toLowerCase()}) > 0 ORDER BY name`);
    if (rows.length === 0) return;
    const names = rows.map(({ name }) => JSON.stringify(name)).join(', ');
    throw new InputError(
      'lifecycle-in-use-conflict',
      `the lifecycle is used by ${names}: change or delete these goals first`,
    );
  });
}

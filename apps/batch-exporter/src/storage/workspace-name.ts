import { type Executor, sql } from '@millrace/database';

/** For file names. */
export async function readWorkspaceName(
  executor: Executor,
  workspaceId: number,
): Promise<{ readonly name: string; readonly title: string }> {
  const { rows } = await executor.query<{ name: string; title: string }>(
    sql`SELECT name, title FROM profile.workspace WHERE id = ${workspaceId}`,
  );
  return rows[0] ?? { name: '', title: '' };
}

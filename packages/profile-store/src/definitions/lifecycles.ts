import { sql, type Database, type Executor, type Transaction } from '@millrace/database';
import { InputError, type LifecycleDefinition } from '@millrace/domain';
import { lockDefinitions } from './lock-definitions.js';

export interface LifecycleRecord extends LifecycleDefinition {
  readonly id: string;
}

/** By name. */
export async function listLifecycles(executor: Executor, workspaceId: number): Promise<readonly LifecycleRecord[]> {
  const { rows } = await executor.query<{ id: string; name: string; stages: string }>(
    sql`SELECT id, name, stages FROM profile.lifecycle WHERE workspace_id = ${workspaceId} ORDER BY name`,
  );
  return rows.map((row) => ({ ...row, stages: JSON.parse(row.stages) as LifecycleDefinition['stages'] }));
}

/**
 * Makes a lifecycle, or with `id` replaces it. Its stages' segments are there; none stands twice.
 * @throws InputError `lifecycle-not-found`, `lifecycle-conflict`, `lifecycle-segment`
 */
export async function putLifecycle(
  database: Database,
  workspaceId: number,
  definition: LifecycleDefinition,
  id?: string,
): Promise<LifecycleRecord> {
  return database.transaction(async (tx) => {
    // Alone, so that no stage's segment is deleted at the same time.
    await lockDefinitions(tx, workspaceId, 'exclusive');
    const others = (await listLifecycles(tx, workspaceId)).filter((lifecycle) => lifecycle.id !== id);
    if (others.some(({ name }) => name === definition.name))
      throw new InputError('lifecycle-conflict', `the lifecycle ${JSON.stringify(definition.name)} exists already`, {
        at: 'name',
      });
    await checkStages(tx, workspaceId, definition);
    const stages = JSON.stringify(definition.stages);
    const { rows } = await tx.query<{ id: string }>(
      id === undefined
        ? sql`INSERT INTO profile.lifecycle (workspace_id, name, stages) VALUES (${workspaceId}, ${definition.name}, ${stages}::jsonb) RETURNING id`
        : sql`UPDATE profile.lifecycle SET name = ${definition.name}, stages = ${stages}::jsonb, updated_at = now()
            WHERE workspace_id = ${workspaceId} AND id = ${id}::uuid RETURNING id`,
    );
    const [row] = rows;
    if (row === undefined) throw new InputError('lifecycle-not-found', 'there is no such lifecycle in this workspace');
    return { id: row.id, ...definition };
  });
}

async function checkStages(tx: Transaction, workspaceId: number, { stages }: LifecycleDefinition): Promise<void> {
  const { rows } = await tx.query<{ id: string }>(
    sql`SELECT id FROM profile.segment WHERE workspace_id = ${workspaceId}`,
  );
  const known = new Set(rows.map((row) => row.id));
  stages.forEach(({ segmentId, name }, index) => {
    const at = `stages.${index}`;
    if (!known.has(segmentId))
      throw new InputError('lifecycle-segment', 'there is no such segment in this workspace', {
        at: `${at}.segmentId`,
      });
    const twin = stages.findIndex((other) => other.segmentId === segmentId || other.name === name);
    if (twin < index)
      throw new InputError('lifecycle-segment', 'its name or its segment is that of another stage already', { at });
  });
}

/** @throws InputError `lifecycle-not-found` */
export async function deleteLifecycle(executor: Executor, workspaceId: number, id: string): Promise<void> {
  const { rowCount } = await executor.query(
    sql`DELETE FROM profile.lifecycle WHERE workspace_id = ${workspaceId} AND id = ${id}::uuid`,
  );
  if (rowCount === 0) throw new InputError('lifecycle-not-found', 'there is no such lifecycle in this workspace');
}

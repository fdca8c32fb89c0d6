import { sql, type Executor } from '@millrace/database';
import { goal as goalSchema, type Labelled, type LabelledKind, type Policy } from '@millrace/domain';
import { listProperties } from '@millrace/profile-store';
import { type Governance, inheritedLabels } from './check-policies.js';

export interface PolicyRecord extends Policy {
  readonly id: string;
  readonly createdAt: Date;
}

export async function listPolicies(executor: Executor, workspaceId: number): Promise<readonly PolicyRecord[]> {
  const { rows } = await executor.query<PolicyRecord>(sql`
    SELECT id, name, label, action, created_at AS "createdAt" FROM config.policy WHERE workspace_id = ${workspaceId} ORDER BY name`);
  return rows;
}

/** Labels as people gave them: those of properties stand with the property, all others in `config.label`. */
export async function listLabelled(executor: Executor, workspaceId: number): Promise<readonly Labelled[]> {
  const { rows } = await executor.query<{ kind: LabelledKind; name: string; labels: string[] }>(sql`
    SELECT 'property' AS kind, name, labels FROM profile.property WHERE workspace_id = ${workspaceId} AND labels <> '{}'
    UNION ALL SELECT kind, name, labels FROM config.label WHERE workspace_id = ${workspaceId} AND labels <> '{}'
    ORDER BY kind, name`);
  return rows;
}

/** With what import goals hand on to what they fill. */
export async function loadGovernance(executor: Executor, workspaceId: number): Promise<Governance> {
  const own = await listLabelled(executor, workspaceId);
  const { rows } = await executor.query<{ document: string; labels: string[] }>(sql`
    SELECT g.document, l.labels FROM config.label l JOIN config.goal g ON g.id::text = l.name AND g.workspace_id = l.workspace_id
    WHERE l.workspace_id = ${workspaceId} AND l.kind = 'import-goal'`);
  const handedOn = rows.flatMap(({ document, labels }) => {
    const goal = goalSchema.safeParse(JSON.parse(document));
    return goal.success ? inheritedLabels(goal.data, labels) : [];
  });
  const all = new Map<string, Labelled>();
  for (const { kind, name, labels } of [...own, ...handedOn]) {
    const key = `${kind} ${name}`;
    all.set(key, { kind, name, labels: [...(all.get(key)?.labels ?? []), ...labels] });
  }
  return {
    labelled: [...all.values()],
    policies: await listPolicies(executor, workspaceId),
    uniqueProperties: (await listProperties(executor, workspaceId))
      .filter(({ unique }) => unique)
      .map(({ name }) => name),
  };
}

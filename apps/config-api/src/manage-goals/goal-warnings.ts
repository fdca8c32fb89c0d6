import { sql, type Executor } from '@millrace/database';
import type { MergeRule } from '@millrace/domain';
import type { GoalRow } from '../storage/entities.js';
import type { GoalWarning } from './goal-views.js';

const effects: Readonly<Record<MergeRule, string>> = {
  set: 'the import overwrites its values',
  'set-or-clear': 'the import overwrites and clears its values',
  'set-if-empty': 'the import fills it where it has no value',
  add: 'the import adds to its lists',
  sum: 'the import adds to its numbers',
};

/**
 * What of a saved goal works, but may not be meant: a mapping's target exists before the import ever ran, so it may be somebody
 * else's. Names the other goals that write it.
 * @param added properties that saving the goal has added: these are its own
 */
export async function goalWarnings(
  executor: Executor,
  goal: GoalRow,
  added: ReadonlySet<string>,
): Promise<GoalWarning[]> {
  const { document } = goal;
  if (document.kind !== 'import-profiles' && document.kind !== 'import-groups') return [];
  const writers = await otherWriters(executor, goal);
  const warnings = document.mappings.flatMap(({ property, rule }, index): GoalWarning[] => {
    if (added.has(property)) return [];
    const others = writers.get(property) ?? [];
    const also = others.length === 0 ? '' : `; it is written by ${others.join(', ')} too`;
    const message = `the property ${JSON.stringify(property)} exists already: ${effects[rule]}${also}`;
    return [{ field: `mappings.${index}.property`, message }];
  });
  if (document.mapAll === undefined) return warnings;
  const { rule, prefix } = document.mapAll;
  const which = prefix === '' ? '' : `, with ${JSON.stringify(prefix)} before it`;
  const message = `every property of a column's name${which}, exists already: ${effects[rule].replaceAll(/\bits?\b/g, 'their')}`;
  return [...warnings, { field: 'mapAll', message }];
}

/** Other goals of the workspace that import into the same properties, by property. */
async function otherWriters(executor: Executor, goal: GoalRow): Promise<ReadonlyMap<string, readonly string[]>> {
  const { rows } = await executor.query<{ property: string; goal: string; connection: string }>(sql`
    SELECT DISTINCT m->>'property' AS property, g.name AS goal, c.name AS connection
    FROM config.goal g JOIN config.connection c ON c.id = g.connection_id
    CROSS JOIN LATERAL jsonb_array_elements(g.document->'mappings') AS m
    WHERE g.workspace_id = ${goal.workspaceId} AND g.kind = ${goal.kind} AND g.id <> ${goal.id}
      AND g.document->>'groupType' IS NOT DISTINCT FROM ${'groupType' in goal.document ? goal.document.groupType : null}::text
    ORDER BY 3, 2`);
  const writers = new Map<string, string[]>();
  for (const row of rows) {
    const known = writers.get(row.property) ?? [];
    known.push(`${JSON.stringify(row.goal)} of ${JSON.stringify(row.connection)}`);
    writers.set(row.property, known);
  }
  return writers;
}

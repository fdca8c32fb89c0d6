import { sql, type Sql, type Transaction } from '@millrace/database';
import { scratchTable } from '../profiles/scratch-table.js';
import { idColumn, tableOf, type MergeShape } from './merge-shape.js';

/** Whether erasures may hold rows of the shape back. */
export function heedsErasures({ erasedAfter, uses }: Pick<MergeShape, 'erasedAfter' | 'uses'>): boolean {
  return erasedAfter !== undefined || uses.occurredAt === true;
}

/** When the staged row `s` was written: no row is younger than its file. Null where nothing says so. */
function writtenAt({ erasedAfter, uses }: MergeShape): Sql {
  const file = sql`${erasedAfter ?? null}::timestamptz`;
  return uses.occurredAt === true ? sql`least(s.occurred_at, ${file})` : file;
}

function tombstonesOf({ workspaceId, domainGroupId }: MergeShape): Sql {
  return sql`profile.tombstone t WHERE t.workspace_id = ${workspaceId}::int AND t.domain_group_id = ${domainGroupId}::int`;
}

/** Nearly always there is none, and no identifier needs to be hashed. */
export async function anyErased(tx: Transaction, shape: MergeShape): Promise<boolean> {
  // Rows may be older than their file; how old is not worth a look at all of them.
  const since = shape.uses.occurredAt === true ? sql.empty : sql` AND t.erased_at > ${shape.erasedAfter!}`;
  const { rowCount } = await tx.query(sql`SELECT FROM ${tombstonesOf(shape)}${since} LIMIT 1`);
  return rowCount > 0;
}

/** Of the lines `c` (…, line) those that name a person erased after they were written, with all columns of `c`. */
export function linesNamingErased(shape: MergeShape, lines: Sql): Sql {
  const identifiers = shape.namespaceIds.map((namespaceId, index) => sql`(${namespaceId}::int, s.${idColumn(index)})`);
  return sql`
    SELECT c.* FROM (${lines}) c JOIN ${tableOf(shape.staging)} s ON s.line = c.line
    CROSS JOIN profile.store CROSS JOIN LATERAL (VALUES ${sql.join(identifiers)}) AS v (namespace_id, value)
    JOIN (SELECT unnest(t.identity_hashes) AS hash, t.erased_at FROM ${tombstonesOf(shape)}) AS erased
      ON erased.hash = profile.identity_hash(store.tombstone_key, v.namespace_id, v.value)
    WHERE v.value IS NOT NULL AND erased.erased_at > ${writtenAt(shape)}`;
}

/**
 * Before a plan is made: finds the rows that are older than the erasure of whom they name, in a temporary table `old_row`, and takes
 * their identifiers from them, so that they tie nothing together and a newer row of the same person stands on its own.
 * Only where rows say how old they are; otherwise all of them are as old as the file, and judged when they are applied.
 */
export async function holdOldRows(tx: Transaction, shape: MergeShape): Promise<boolean> {
  if (shape.uses.occurredAt !== true || !(await anyErased(tx, shape))) return false;
  const staging = tableOf(shape.staging);
  await scratchTable(tx, 'old_row', sql`line bigint PRIMARY KEY`);
  const { rowCount } = await tx.query(sql`
    INSERT INTO old_row SELECT DISTINCT found.line FROM (${linesNamingErased(shape, sql`SELECT line FROM ${staging}`)}) AS found`);
  if (rowCount === 0) return false;
  const nothing = shape.namespaceIds.map((_, index) => sql`${idColumn(index)} = NULL`);
  await tx.query(sql`UPDATE ${staging} s SET ${sql.join(nothing)} FROM old_row o WHERE o.line = s.line`);
  return true;
}

/** Once the plan is made: the rows held back stand in it by themselves. Returns how many linked rows hang on them. */
export async function planOldRows(tx: Transaction, shape: MergeShape): Promise<number> {
  const [plan, lines] = [tableOf(shape.plan), tableOf(shape.planLines)];
  await tx.query(sql`DELETE FROM ${lines} l USING old_row o WHERE o.line = l.line`);
  await tx.query(sql`DELETE FROM ${plan} pl USING old_row o WHERE o.line = pl.component`);
  await tx.query(sql`
    INSERT INTO ${plan} (component, profile_id, is_new, rows, chunk, status)
    SELECT o.line, uuidv7(), true, 1, (o.line / ${sql.integer(shape.chunkLines)})::int, 'g' FROM old_row o ORDER BY o.line`);
  if (shape.events === undefined || shape.eventsHaveLinkedRows !== true) return 0;
  const { rows } = await tx.query<{ linked: number }>(sql`
    SELECT coalesce(sum(e.linked_rows), 0)::float8 AS linked FROM ${tableOf(shape.events)} e JOIN old_row o ON o.line = e.root_line`);
  return rows[0]!.linked;
}

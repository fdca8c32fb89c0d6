import { sql, type Sql, type Transaction } from '@millrace/database';
import { scratchTable } from '../profiles/scratch-table.js';
import type { ChunkContext } from './chunk-context.js';
import { idColumn, ownIdIndex, tableOf, type MergeShape } from './merge-shape.js';
import { insertUnlessTaken } from './unless-taken.js';

function identitiesOf(shape: MergeShape, line: Sql): Sql {
  const identifiers = shape.namespaceIds.flatMap((namespaceId, index) =>
    index === ownIdIndex(shape) ? [] : [sql`(${namespaceId}::int, ${line}.${idColumn(index)})`],
  );
  // A profile's own id is nothing it could be given.
  const values = identifiers.length === 0 ? sql`(NULL::int, NULL::text)` : sql.join(identifiers);
  return sql`CROSS JOIN LATERAL (VALUES ${values}) AS v (namespace_id, value)`;
}

/** The identities the chunk's components need: (component, profile_id, namespace_id, value). */
function neededIdentities({ shape, inChunk, inLines }: ChunkContext): Sql {
  const [plan, staging, lines] = [tableOf(shape.plan), tableOf(shape.staging), tableOf(shape.planLines)];
  const identities = identitiesOf(shape, sql`s`);
  // With one identifier an existing profile was found by the very identity it would be given.
  const single = shape.namespaceIds.length === 1 ? sql` AND pl.is_new` : sql.empty;
  return sql`
    SELECT pl.component, pl.profile_id, v.namespace_id, v.value
    FROM ${plan} pl JOIN ${staging} s ON s.line = pl.component ${identities}
    WHERE ${inChunk} AND ${inLines} AND pl.rows = 1 AND v.value IS NOT NULL${single}
    UNION ALL
    SELECT DISTINCT pl.component, pl.profile_id, v.namespace_id, v.value
    FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${staging} s ON s.line = l.line ${identities}
    WHERE ${inChunk} AND pl.rows > 1 AND v.value IS NOT NULL${single}`;
}

/**
 * The usual chunk: nothing but new profiles with one row and one identifier each. Returns false, with nothing written, when a
 * concurrent writer took one of them.
 */
export async function addNewIdentities(tx: Transaction, { shape, inChunk, inLines }: ChunkContext): Promise<boolean> {
  const added = await insertUnlessTaken(
    tx,
    sql`
      INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
      SELECT ${shape.domainGroupId}::int, ${shape.namespaceIds[0]}::int, s.id_1, pl.profile_id
      FROM ${tableOf(shape.plan)} pl JOIN ${tableOf(shape.staging)} s ON s.line = pl.component
      WHERE ${inChunk} AND ${inLines} ORDER BY s.id_1`,
  );
  return added !== undefined;
}

/**
 * Gives profiles their identities, sorted by key, in one statement, and notes what existing profiles got in a temporary table
 * `identity_added`. A component one of whose identities belongs to another profile by now is marked as moved and what it got
 * is taken back. Returns how many components moved.
 */
export async function addIdentities(tx: Transaction, context: ChunkContext): Promise<{ readonly moved: number }> {
  await scratchTable(
    tx,
    'identity_added',
    sql`profile_id uuid, namespace_id int, value text, PRIMARY KEY (profile_id, namespace_id, value)`,
  );
  const { shape } = context;
  const needed = neededIdentities(context);
  const { rows } = await tx.query<{ needed: number; added: number }>(sql`
    WITH needed AS MATERIALIZED (${needed}), added AS (
      INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
      SELECT ${shape.domainGroupId}::int, namespace_id, value, profile_id FROM needed ORDER BY namespace_id, value
      ON CONFLICT DO NOTHING
      RETURNING profile_id, namespace_id, value
    ), noted AS (
      INSERT INTO identity_added
      SELECT a.profile_id, a.namespace_id, a.value FROM added a
      WHERE EXISTS (SELECT FROM ${tableOf(shape.plan)} pl WHERE ${context.inChunk} AND NOT pl.is_new)
    )
    SELECT (SELECT count(*) FROM needed)::float8 AS needed, (SELECT count(*) FROM added)::float8 AS added`);
  if (rows[0]!.needed === rows[0]!.added) return { moved: 0 };
  const moved = await tx.query<{ profile_id: string; is_new: boolean }>(sql`
    UPDATE ${tableOf(shape.plan)} pl SET status = 'm'
    FROM (
      SELECT DISTINCT n.component FROM (${needed}) n
      JOIN profile.identity i ON i.domain_group_id = ${shape.domainGroupId}::int AND i.namespace_id = n.namespace_id AND i.value = n.value
      WHERE i.profile_id <> n.profile_id
    ) taken
    WHERE taken.component = pl.component${shape.policy === 'first-match' ? sql` AND pl.is_new` : sql.empty}
    RETURNING pl.profile_id, pl.is_new`);
  if (moved.rowCount > 0) {
    const ids = moved.rows.map((row) => row.profile_id);
    const fresh = moved.rows.filter((row) => row.is_new).map((row) => row.profile_id);
    // A new profile has no identities but these; an existing one keeps those it had.
    await tx.query(sql`DELETE FROM profile.identity WHERE profile_id = ANY (${fresh}::uuid[])`);
    await tx.query(sql`
      DELETE FROM profile.identity i USING identity_added a
      WHERE a.profile_id = ANY (${ids}::uuid[]) AND i.domain_group_id = ${shape.domainGroupId}::int
        AND i.namespace_id = a.namespace_id AND i.value = a.value AND i.profile_id = a.profile_id`);
    await tx.query(sql`DELETE FROM identity_added WHERE profile_id = ANY (${ids}::uuid[])`);
  }
  return { moved: moved.rowCount };
}

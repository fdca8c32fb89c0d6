import { sql, type Sql, type Transaction } from '@millrace/database';
import { byIndex } from '../profiles/by-index.js';
import { scratchTable } from '../profiles/scratch-table.js';
import { nextVersion } from '../profiles/version.js';
import type { ChunkContext } from './chunk-context.js';
import { tableOf, type MergeShape } from './merge-shape.js';

export interface GroupLinkCounts {
  /** Links that were not there before. */
  readonly groupsLinked: number;
  /** Links to keys that no group has, where none is made. */
  readonly groupsUnknown: number;
}

export function linksGroups({ uses }: Pick<MergeShape, 'uses'>): boolean {
  return (uses.groups ?? []).length > 0;
}

/**
 * Finds, and where the link says so makes, the groups that the chunk's rows name, in a temporary table `linked_group`, and locks
 * them by type and key against a change of their properties: whoever changes a group must see every member.
 * Before profiles are locked, as every writer does; made first and locked after, so that nobody waits in a circle.
 */
export async function lockLinkedGroups(tx: Transaction, shape: MergeShape, inChunk: Sql): Promise<void> {
  const [plan, staging, lines] = [tableOf(shape.plan), tableOf(shape.staging), tableOf(shape.planLines)];
  await scratchTable(tx, 'linked_group', linkedColumns);
  await scratchTable(tx, 'made_group', sql`id uuid NOT NULL`);
  // Where a link replaces, the last row of a profile that has a value counts.
  const [lastLine, counting] = (shape.uses.groups ?? []).some(({ replace }) => replace)
    ? [
        sql`, NOT v.replaces OR b.line = max(b.line) OVER (PARTITION BY b.component, v.link) AS counts`,
        sql` WHERE n.counts`,
      ]
    : [sql.empty, sql.empty];
  const links = (shape.uses.groups ?? []).map(
    ({ typeId, create, replace }, index) =>
      sql`(${index}::int, ${typeId}::int, ${create}::boolean, ${replace}::boolean)`,
  );
  const { rowCount: wanted } = await tx.query(sql`
    WITH brought AS (
      SELECT pl.component, s.line, s.groups FROM ${plan} pl JOIN ${staging} s ON s.line = pl.component
      WHERE ${inChunk} AND pl.rows = 1 AND s.groups IS NOT NULL
      UNION ALL
      SELECT pl.component, s.line, s.groups
      FROM ${plan} pl JOIN ${lines} l ON l.component = pl.component JOIN ${staging} s ON s.line = l.line
      WHERE ${inChunk} AND pl.rows > 1 AND s.groups IS NOT NULL
    ), named AS (
      SELECT b.component, v.link, v.type_id, v.makes, given.value AS keys${lastLine}
      FROM brought b CROSS JOIN LATERAL jsonb_each(b.groups) AS given (key, value)
      JOIN (VALUES ${sql.join(links)}) AS v (link, type_id, makes, replaces) ON v.link = given.key::int
      WHERE given.value <> '[]'
    )
    INSERT INTO linked_group (component, link, type_id, makes, key)
    SELECT DISTINCT n.component, n.link, n.type_id, n.makes, k.value
    FROM named n CROSS JOIN LATERAL jsonb_array_elements_text(n.keys) AS k (value)${counting}`);
  // A batch is too small to be worth it, and shall leave no rows in the catalogue.
  if (shape.persistence === 'durable') await tx.query(sql`ANALYZE linked_group`);
  const make = sql`
    WITH made AS (
      INSERT INTO profile.group (group_type_id, key)
      SELECT DISTINCT lg.type_id, lg.key FROM linked_group lg WHERE lg.makes AND lg.group_id IS NULL ORDER BY lg.type_id, lg.key
      ON CONFLICT DO NOTHING RETURNING id
    )
    INSERT INTO made_group SELECT id FROM made`;
  // A subquery that locks is run once for each key, in their order.
  const lock = sql`
    WITH locked AS MATERIALIZED (
      SELECT g.id, wanted.type_id, wanted.key
      FROM (SELECT DISTINCT type_id, key FROM linked_group ORDER BY type_id, key OFFSET 0) wanted
      CROSS JOIN LATERAL (
        SELECT g.id FROM profile.group g WHERE g.group_type_id = wanted.type_id AND g.key = wanted.key FOR SHARE OF g
      ) g
    )
    UPDATE linked_group lg SET group_id = l.id FROM locked l WHERE l.type_id = lg.type_id AND l.key = lg.key`;
  // One that was there may be erased before it is locked: then it is made again.
  for (let round = 0; round < makingRounds; round += 1) {
    await tx.query(make);
    const { rowCount: found } = await tx.query(lock);
    if (found === wanted || !(await isUnmade(tx))) return;
  }
}

const makingRounds = 20;

async function isUnmade(tx: Transaction): Promise<boolean> {
  const { rows } = await tx.query<{ found: boolean }>(
    sql`SELECT EXISTS (SELECT FROM linked_group WHERE makes AND group_id IS NULL) AS found`,
  );
  return rows[0]!.found;
}

const linkedColumns = sql`component bigint, link int, type_id int, makes boolean, key text, group_id uuid`;
const linkColumns = sql`profile_id uuid, link int, type_id int, key text, group_id uuid`;
const changeColumns = sql`profile_id uuid NOT NULL, left_one boolean NOT NULL`;

/** Makes the chunk's profiles members of the groups in `linked_group`; a real change marks the profile in `touched`. */
export async function linkGroups(tx: Transaction, { shape, inChunk }: ChunkContext): Promise<GroupLinkCounts> {
  await scratchTable(tx, 'group_link', linkColumns);
  await scratchTable(tx, 'group_change', changeColumns);
  await tx.query(sql`
    INSERT INTO group_link
    SELECT DISTINCT pl.profile_id, lg.link, lg.type_id, lg.key, lg.group_id
    FROM linked_group lg JOIN ${tableOf(shape.plan)} pl ON pl.component = lg.component WHERE ${inChunk}`);
  if (shape.persistence === 'durable') await tx.query(sql`ANALYZE group_link`);
  const replacing = (shape.uses.groups ?? []).flatMap(({ replace }, index) => (replace ? [index] : []));
  if (replacing.length > 0) {
    const leave = sql`
      WITH ended AS (
        DELETE FROM profile.group_member gm USING profile.group g, (
          SELECT DISTINCT profile_id, type_id FROM group_link WHERE link = ANY (${replacing}::int[]) AND group_id IS NOT NULL
        ) AS mover
        WHERE gm.profile_id = mover.profile_id AND g.id = gm.group_id AND g.group_type_id = mover.type_id
          AND NOT EXISTS (SELECT FROM group_link stays WHERE stays.profile_id = gm.profile_id AND stays.group_id = gm.group_id)
        RETURNING gm.profile_id
      )
      INSERT INTO group_change SELECT DISTINCT profile_id, true FROM ended`;
    await (shape.persistence === 'durable' ? tx.query(leave) : byIndex(tx, () => tx.query(leave)));
  }
  const { rows } = await tx.query<{ linked: number; unknown: number }>(sql`
    WITH joined AS (
      INSERT INTO profile.group_member (profile_id, group_id)
      SELECT DISTINCT profile_id, group_id FROM group_link WHERE group_id IS NOT NULL
      ON CONFLICT DO NOTHING RETURNING profile_id
    ), noted AS (
      -- What was created or updated besides needs no other mark.
      INSERT INTO group_change SELECT DISTINCT t.profile_id, false FROM joined JOIN touched t USING (profile_id) WHERE t.outcome = 'n'
    )
    SELECT (SELECT count(*) FROM joined)::float8 AS linked,
      (SELECT count(*) FROM group_link WHERE group_id IS NULL)::float8 AS unknown`);
  // A link is stamped where it is made; one that is gone can only be told by the profile.
  const raise = sql`
    WITH changed AS MATERIALIZED (
      SELECT profile_id, bool_or(left_one) AS left_one FROM group_change GROUP BY profile_id
    ), raised AS (
      UPDATE profile.profile p
      SET version = ${nextVersion},
        changed_xid = CASE WHEN c.left_one THEN pg_current_xact_id() ELSE p.changed_xid END,
        updated_at = now()
      FROM changed c JOIN touched t USING (profile_id)
      WHERE p.id = t.profile_id AND (t.outcome = 'n' OR (c.left_one AND p.changed_xid <> pg_current_xact_id()))
      RETURNING p.id, p.version
    )
    UPDATE touched t SET version = r.version, outcome = CASE t.outcome WHEN 'n' THEN 'u' ELSE t.outcome END::"char"
    FROM raised r WHERE t.profile_id = r.id`;
  await byIndex(tx, () => tx.query(raise));
  return { groupsLinked: rows[0]!.linked, groupsUnknown: rows[0]!.unknown };
}

/** Of the groups made here those that nobody joined after all: rows that are withheld, or wait for the final chunk, leave nothing behind. */
export async function forgetUnusedGroups(tx: Transaction): Promise<void> {
  const forget = sql`
    DELETE FROM profile.group g USING made_group m
    WHERE g.id = m.id AND NOT EXISTS (SELECT FROM profile.group_member gm WHERE gm.group_id = g.id)`;
  await byIndex(tx, () => tx.query(forget));
}

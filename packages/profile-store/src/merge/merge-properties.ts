import { sql, type Sql } from '@millrace/database';
import type { StagedParts } from '@millrace/mapping';

/**
 * The properties of a profile after a staged (or folded) row `row` was merged into `current`, as SQL:
 * set-if-empty fills what is missing, set and set-or-clear overwrite (null clears), add appends what the list lacks, sum adds up.
 * Where one row writes a property in several of these ways, they act in this order.
 */
export function mergedProperties(uses: StagedParts, row: Sql, current: Sql | undefined): Sql {
  const base = current ?? sql`'{}'::jsonb`;
  let merged = uses.fill ? sql`(coalesce(${row}.fill, '{}') || ${base})` : base;
  // A new profile whose row only assigns is the row itself.
  merged = current === undefined && !uses.fill ? sql`${row}.assign` : sql`(${merged} || ${row}.assign)`;
  if (uses.clear) merged = sql`jsonb_strip_nulls(${merged})`;
  const assigned = merged;
  const before = (name: string): Sql => (uses.mixed?.includes(name) ? assigned : base);
  for (const name of uses.append) {
    const property = sql`${name}::text`;
    merged = sql`(${merged} || CASE WHEN ${row}.append ? ${property}
      THEN jsonb_build_object(${property}, profile.append_unique(${before(name)}->${property}, ${row}.append->${property})) ELSE '{}' END)`;
  }
  for (const name of uses.increment) {
    const property = sql`${name}::text`;
    merged = sql`(${merged} || CASE WHEN ${row}.increment ? ${property}
      THEN jsonb_build_object(${property}, coalesce((${before(name)}->>${property})::numeric, 0) + (${row}.increment->>${property})::numeric) ELSE '{}' END)`;
  }
  return merged;
}

/** Whether a staged row overwrites, appends to or adds to a property, the same value included; what set-if-empty does is not in it. */
export function writesProperty(uses: StagedParts, row: Sql, name: string): Sql {
  const property = sql`${name}::text`;
  const assigned = sql`${row}.assign ? ${property}`;
  let added: Sql | undefined;
  if (uses.append.includes(name)) added = sql`coalesce(${row}.append ? ${property}, false)`;
  if (uses.increment.includes(name)) added = sql`coalesce(${row}.increment ? ${property}, false)`;
  if (added === undefined) return assigned;
  return uses.mixed?.includes(name) ? sql`(${assigned} OR ${added})` : added;
}

/** The columns of several rows of one profile folded in file order; `s` is the staging row. */
export function foldedColumns(uses: StagedParts): Sql {
  return sql.join([
    sql`profile.jsonb_merge(s.assign ORDER BY s.line) AS assign`,
    ...(uses.fill ? [sql`profile.jsonb_merge(coalesce(s.fill, '{}') ORDER BY s.line DESC) AS fill`] : []),
    ...(uses.append.length > 0 ? [sql`profile.merge_lists(s.append ORDER BY s.line) AS append`] : []),
    ...(uses.increment.length > 0 ? [sql`profile.merge_sums(s.increment ORDER BY s.line) AS increment`] : []),
    ...(uses.consent ? [sql`profile.jsonb_merge(coalesce(s.consent, '{}') ORDER BY s.line) AS consent`] : []),
  ]);
}

/** The same columns of a single row. */
export function plainColumns(uses: StagedParts): Sql {
  return sql.join(writtenColumns(uses).map((name) => sql`s.${sql.id(name)}`));
}

/** Their names; each is jsonb. */
function writtenColumns(uses: StagedParts): readonly string[] {
  return [
    'assign',
    ...(uses.fill ? ['fill'] : []),
    ...(uses.append.length > 0 ? ['append'] : []),
    ...(uses.increment.length > 0 ? ['increment'] : []),
    ...(uses.consent ? ['consent'] : []),
  ];
}

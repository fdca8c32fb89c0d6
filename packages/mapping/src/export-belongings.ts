import type { CsvDialect, InputError } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue, CatalogueEventType, CatalogueGroupType, CatalogueLifecycle } from './catalogue.js';
import { enclose, listElement, scalarText } from './export-values.js';

/**
 * A property, or the key, of the groups of a type that a profile is in: one value as it is, several as a list in the order of
 * the groups' keys. A list of a group counts with each of its elements.
 */
export function groupText(
  { id, properties }: CatalogueGroupType,
  property: string | undefined,
  dialect: CsvDialect,
): Sql {
  const groups = sql`FROM profile.group_member gm JOIN profile.group g ON g.id = gm.group_id
    WHERE gm.profile_id = p.id AND g.group_type_id = ${sql.integer(id)}`;
  const several = (joined: Sql, first: Sql): Sql =>
    sql`CASE WHEN count(*) > 1 THEN ${enclose(joined, dialect)} ELSE min(${first}) END`;
  const separator = sql.literal(dialect.list.separator);
  if (property === undefined)
    return sql`(SELECT ${several(sql`string_agg(${listElement(sql`g.key`, dialect)}, ${separator} ORDER BY g.key COLLATE "C")`, sql`g.key`)} ${groups})`;
  const value = sql`g.properties->${sql.literal(property)}`;
  const text = scalarText(sql`e.value`, properties.get(property)?.type ?? 'string', dialect);
  const joined = sql`string_agg(${listElement(text, dialect)}, ${separator} ORDER BY g.key COLLATE "C", e.position)`;
  return sql`(SELECT ${several(joined, text)} FROM (SELECT g.key, ${value} AS held ${groups}) AS g
    CROSS JOIN LATERAL jsonb_array_elements_text(CASE jsonb_typeof(g.held) WHEN 'array' THEN g.held ELSE jsonb_build_array(g.held) END)
      WITH ORDINALITY AS e(value, position)
    WHERE g.held IS NOT NULL AND g.held <> 'null')`;
}

/** The name of the last stage whose segment the profile is in. */
export function stageName({ stages }: CatalogueLifecycle): Sql {
  const ranked = stages.map(
    ({ name, segmentId }, index) => sql`(${sql.literal(segmentId)}::uuid, ${sql.integer(index)}, ${sql.literal(name)})`,
  );
  return sql`(SELECT stage.name FROM (VALUES ${sql.join(ranked)}) AS stage(segment_id, place, name)
    JOIN profile.membership lm ON lm.profile_id = p.id AND lm.segment_id = stage.segment_id AND lm.status = 'realized'
    ORDER BY stage.place DESC LIMIT 1)`;
}

interface InteractionType {
  readonly id: number;
  readonly property: string;
}

/** @throws what `unknown` makes of the code of a type that is not there, or is none. */
export function interactionTypes(
  codes: readonly string[] | undefined,
  catalogue: Catalogue,
  unknown: (name: string) => InputError,
): readonly InteractionType[] {
  const known = (code: string, type: CatalogueEventType | undefined): InteractionType => {
    if (type?.definition.interaction === undefined) throw unknown(code);
    return { id: type.id, property: type.definition.interaction };
  };
  if (codes !== undefined) return codes.map((code) => known(code, catalogue.eventTypes.get(code)));
  const all = [...catalogue.eventTypes].filter(([, { definition }]) => definition.interaction !== undefined);
  return all.map(([code, type]) => known(code, type)).sort((left, right) => left.id - right.id);
}

/** Each interaction once, in alphabetical order, always in list form. */
export function viewedInteractions(types: readonly InteractionType[], dialect: CsvDialect): Sql {
  if (types.length === 0) return sql`NULL::text`;
  const named = types.map(
    ({ id, property }) => sql`SELECT DISTINCT e.properties->>${sql.literal(property)} AS name FROM profile.event e
      WHERE e.profile_id = p.id AND e.event_type_id = ${sql.integer(id)}`,
  );
  const joined = sql`string_agg(${listElement(sql`viewed.name`, dialect)}, ${sql.literal(dialect.list.separator)} ORDER BY viewed.name COLLATE "C")`;
  return sql`(SELECT ${enclose(joined, dialect)} FROM (${sql.join(named, ' UNION ')}) AS viewed WHERE viewed.name IS NOT NULL)`;
}

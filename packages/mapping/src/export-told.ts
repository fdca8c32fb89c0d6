import type { ExportProfilesGoal } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';
import type { ExportColumns } from './export-columns.js';
import { audiencesOf, segmentsOf } from './export-audience.js';
import { namespaceIdOf, remembersDelivered, tellsWhoLeft } from './export-demands.js';
import { enclose, listElement } from './export-values.js';

/**
 * Where a transaction that writes rows keeps, for itself alone, what was sealed about who is gone: a JSON object by the number of the
 * row, `{properties}` or `{value}` of its key, or `{identities: {<namespace id>: [value]}}` of a profile. A setting, because COPY
 * takes no parameters and nothing of it shall be stored.
 */
export const openedSetting = 'millrace.opened';

/**
 * The rows of who is gone, from `chosen` of `number, profile_id, fate`: the profile's id, what the receiver knows it by, and that it
 * left. All else is empty.
 */
export function toldRows(
  goal: ExportProfilesGoal,
  columns: ExportColumns,
  catalogue: Catalogue,
  chosen: Sql,
  list: (expressions: readonly Sql[]) => Sql,
): Sql {
  const { deduplicate, tombstones } = goal;
  const keyProperties = deduplicate?.by === 'properties' ? deduplicate.properties : [];
  const expressions = goal.columns.map(({ source }, index): Sql => {
    switch (source.kind) {
      case 'profile-id':
        return sql`p.id`;
      case 'fixed':
        return sql`${sql.literal(source.text)}::text`;
      case 'membership-status':
        return tombstones
          ? sql`CASE WHEN EXISTS (SELECT FROM profile.tombstone te WHERE te.profile_id = p.id) THEN 'erased' ELSE 'exited' END`
          : sql`'exited'::text`;
      case 'identity':
        if (deduplicate?.by === 'namespace' && deduplicate.namespace === source.namespace)
          return sql`p.known->>'value'`;
        return identityList(namespaceIdOf(catalogue, source.namespace, `columns[${index}].source`), goal);
      case 'property':
        return (keyProperties.includes(source.property) && columns.expressions[index]) || nothing;
      default:
        return nothing;
    }
  });
  // Looked up in one value, parsed once.
  return sql`SELECT ${list(expressions)} FROM (
      SELECT told.profile_id AS id, opened.everything->told.number::text AS known, opened.everything->told.number::text->'properties' AS properties
      FROM (SELECT nullif(current_setting(${sql.literal(openedSetting)}, true), '')::jsonb AS everything OFFSET 0) AS opened
      CROSS JOIN (${chosen}) AS told WHERE told.fate IN ('gone', 'erased')
    ) AS p`;
}

const nothing = sql`NULL::text`;

/** As living profiles show theirs: one as it is, several as a list. */
function identityList(namespaceId: number, { csv }: ExportProfilesGoal): Sql {
  const joined = sql`string_agg(${listElement(sql`i.value`, csv)}, ${sql.literal(csv.list.separator)} ORDER BY i.position)`;
  return sql`(SELECT CASE WHEN count(*) > 1 THEN ${enclose(joined, csv)} ELSE min(i.value) END
    FROM jsonb_array_elements_text(p.known->'identities'->${sql.literal(String(namespaceId))}) WITH ORDINALITY AS i(value, position))`;
}

/** What an erasure must leave behind for a goal: of whom, and in which namespaces. */
export interface LastWords {
  readonly segmentIds: readonly string[];
  readonly namespaceIds: readonly number[];
}

/**
 * By what else than its id the receiver of a goal knows a profile: the identities in its columns. Undefined where nothing is to be
 * kept of the erased: nobody is told of them, or the goal remembers by itself what it delivered them by.
 */
export function lastWordsOf(goal: ExportProfilesGoal, catalogue: Catalogue): LastWords | undefined {
  if (!remembersDelivered(goal) || !tellsWhoLeft(goal) || goal.deduplicate !== undefined) return undefined;
  const namespaces = goal.columns.flatMap(({ source }, index) =>
    source.kind === 'identity' ? [namespaceIdOf(catalogue, source.namespace, `columns[${index}].source`)] : [],
  );
  if (namespaces.length === 0) return undefined;
  const namespaceIds = [...new Set(namespaces)].sort((one, other) => one - other);
  return { segmentIds: [...new Set(audiencesOf(goal).flatMap(segmentsOf))].sort(), namespaceIds };
}

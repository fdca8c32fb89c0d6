import {
  type ColumnSource,
  type CsvDialect,
  type ExportProfilesGoal,
  InputError,
  permissionLevel,
} from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue, CatalogueProperty } from './catalogue.js';
import { groupText, interactionTypes, stageName, viewedInteractions } from './export-belongings.js';
import { booleanWords, enclose, listElement, scalarText } from './export-values.js';

/** What the columns of a goal read: a change of any of it makes a profile due. */
export interface ExportReads {
  readonly properties: readonly string[];
  readonly namespaceIds: readonly number[];
  readonly segmentIds: readonly string[];
  readonly objectives: readonly string[];
  readonly groupTypeIds: readonly number[];
  /** Of events that count as a change of the profile. */
  readonly eventTypeIds: readonly number[];
}

export interface ExportColumns {
  readonly headers: readonly string[];
  /** One text expression per column over a row `p` of profile.profile and its `m` of profile.membership; NULL where there is no value. Holds no parameters. */
  readonly expressions: readonly Sql[];
  readonly reads: ExportReads;
}

/** Lists up to this length are joined without a set-returning subquery, which would double the time of a COPY. */
const unrolledElements = 4;

/**
 * Compiles the columns of an export goal to SQL text expressions, in file order.
 * Values leave as they are stored (exact decimals, `YYYY-MM-DD`, ISO-8601 in UTC) but for the dialect's decimal separator,
 * date patterns and boolean words.
 * @throws InputError('column-unknown') naming the column and what the workspace lacks.
 */
export function compileExportColumns(goal: ExportProfilesGoal, catalogue: Catalogue): ExportColumns {
  const reads = {
    properties: new Set<string>(),
    namespaceIds: new Set<number>(),
    segmentIds: new Set<string>(),
    objectives: new Set<string>(),
    groupTypeIds: new Set<number>(),
    eventTypeIds: new Set<number>(),
  };
  const expressions = goal.columns.map(({ header, source }, position): Sql => {
    const unknown = (what: string, name: string): InputError =>
      new InputError(
        'column-unknown',
        `column ${JSON.stringify(header)}: the workspace has no ${what} ${JSON.stringify(name)}`,
        {
          at: `columns[${position}].source`,
        },
      );
    switch (source.kind) {
      case 'property': {
        const property = catalogue.properties.get(source.property);
        if (property === undefined) throw unknown('property', source.property);
        reads.properties.add(property.name);
        return property.list
          ? listProperty(property, goal.csv)
          : scalarText(sql`p.properties->>${sql.literal(property.name)}`, property.type, goal.csv);
      }
      case 'profile-id':
        return sql`p.id`;
      case 'identity': {
        const namespace = catalogue.namespaces.get(source.namespace);
        if (namespace === undefined) throw unknown('identity namespace', source.namespace);
        reads.namespaceIds.add(namespace.id);
        return identityText(namespace.id, goal.csv);
      }
      case 'segments':
        return segmentNames(source, catalogue, goal.csv, (id) => {
          if (!catalogue.segments.has(id)) throw unknown('segment', id);
          reads.segmentIds.add(id);
        });
      case 'membership-status':
        return sql`m.status`;
      case 'consent': {
        reads.objectives.add(source.objective);
        const [yes, no] = booleanWords(goal.csv);
        return sql`(SELECT CASE WHEN c.granted THEN ${sql.literal(yes)} ELSE ${sql.literal(no)} END
          FROM profile.consent c WHERE c.profile_id = p.id AND c.objective = ${sql.literal(source.objective)})`;
      }
      case 'group': {
        const type = catalogue.groupTypes.get(source.type);
        if (type === undefined) throw unknown('group type', source.type);
        reads.groupTypeIds.add(type.id);
        return groupText(type, source.property, goal.csv);
      }
      case 'lifecycle': {
        const lifecycle = catalogue.lifecycles.get(source.lifecycleId);
        if (lifecycle === undefined) throw unknown('lifecycle', source.lifecycleId);
        for (const { segmentId } of lifecycle.stages) reads.segmentIds.add(segmentId);
        return stageName(lifecycle);
      }
      case 'viewed-interactions': {
        const types = interactionTypes(source.eventTypes, catalogue, (name) => unknown('interaction type', name));
        if (source.countsAsChange) for (const { id } of types) reads.eventTypeIds.add(id);
        return viewedInteractions(types, goal.csv);
      }
      case 'permission-level': {
        if (!catalogue.properties.has(permissionLevel)) throw unknown('property', permissionLevel);
        reads.properties.add(permissionLevel);
        return sql`p.properties->>${sql.literal(permissionLevel)}`;
      }
      case 'fixed':
        return sql`${sql.literal(source.text)}::text`;
    }
  });
  return {
    headers: goal.columns.map((column) => column.header),
    expressions,
    reads: {
      properties: [...reads.properties],
      namespaceIds: [...reads.namespaceIds],
      segmentIds: [...reads.segmentIds],
      objectives: [...reads.objectives],
      groupTypeIds: [...reads.groupTypeIds],
      eventTypeIds: [...reads.eventTypeIds],
    },
  };
}

function listProperty(property: CatalogueProperty, dialect: CsvDialect): Sql {
  const name = sql.literal(property.name);
  const value = sql`p.properties->${name}`;
  const separator = sql.literal(dialect.list.separator);
  const element = (text: Sql): Sql => listElement(scalarText(text, property.type, dialect), dialect);
  const few = Array.from({ length: unrolledElements }, (_, index) => element(sql`(${value}->>${sql.integer(index)})`));
  const many = sql`(SELECT string_agg(${element(sql`e.value`)}, ${separator} ORDER BY e.position)
    FROM jsonb_array_elements_text(${value}) WITH ORDINALITY AS e(value, position))`;
  const joined = sql`CASE WHEN jsonb_array_length(${value}) <= ${sql.integer(unrolledElements)} THEN concat_ws(${separator}, ${sql.join(few)}) ELSE ${many} END`;
  // A value stored before the property became a list is a list of one.
  const single = enclose(element(sql`(p.properties->>${name})`), dialect);
  return sql`CASE WHEN jsonb_typeof(${value}) <> 'array' THEN ${single} WHEN jsonb_array_length(${value}) > 0 THEN ${enclose(sql`(${joined})`, dialect)} END`;
}

/**
 * One identity leaves as it is; several, oldest first, as a list. The common case, at most one, does without an ordered
 * aggregate, which would cost as much again as the lookup.
 */
function identityText(namespaceId: number, dialect: CsvDialect): Sql {
  const identities = (alias: string): Sql => {
    const i = sql.id(alias);
    // The sum keeps the planner, when a first import has left no statistics yet, from the primary key: that would read
    // the whole namespace once per profile. A namespace belongs to one workspace.
    return sql`FROM profile.identity ${i} WHERE ${i}.profile_id = p.id AND ${i}.namespace_id + 0 = ${sql.integer(namespaceId)}`;
  };
  const joined = sql`string_agg(${listElement(sql`several.value`, dialect)}, ${sql.literal(dialect.list.separator)} ORDER BY several.created_at, several.value)`;
  return sql`(SELECT CASE WHEN count(*) > 1 THEN (SELECT ${enclose(joined, dialect)} ${identities('several')}) ELSE min(i.value) END
    ${identities('i')})`;
}

/** The names of the segments a profile is in, in alphabetical order, always in list form. */
function segmentNames(
  source: Extract<ColumnSource, { kind: 'segments' }>,
  catalogue: Catalogue,
  dialect: CsvDialect,
  read: (segmentId: string) => void,
): Sql {
  const ids = source.segmentIds ?? [...catalogue.segments.keys()].sort();
  ids.forEach(read);
  if (ids.length === 0) return sql`NULL::text`;
  const joined = sql`string_agg(${listElement(sql`s.name`, dialect)}, ${sql.literal(dialect.list.separator)} ORDER BY s.name COLLATE "C")`;
  return sql`(SELECT ${enclose(joined, dialect)} FROM profile.membership sm JOIN profile.segment s ON s.id = sm.segment_id
    WHERE sm.profile_id = p.id AND sm.status = 'realized' AND sm.segment_id IN (${sql.join(ids.map((id) => sql.literal(id)))}))`;
}

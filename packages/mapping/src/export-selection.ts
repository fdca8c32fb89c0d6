import { type ExportProfilesGoal, InputError, TransientError } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';
import type { ExportColumns } from './export-columns.js';
import {
  consentDemand,
  demandsOf,
  namespaceIdOf,
  objectivesOf,
  remembersDelivered,
  textArray,
} from './export-demands.js';
import { changedSince, changesOf, touchedProfiles } from './export-changes.js';

/** profile.profile is partitioned by hash of the id into this many tables, `profile_p0` and on: a stored constant. */
export const profilePartitions = 8;

/**
 * Which profiles an export writes, as SQL without parameters (COPY takes none).
 * Eligible: realized in one of the goal's segments, a value for at least one mapped property (where any is mapped) and for every
 * mandatory one, the identity and key it must have, consent to one of the objectives of goal and connection (where they have any).
 * Due: eligible and, in a delta, touched since the watermark; in a delta that says who is in the segment, also those who
 * left it or withdrew their consent since and are eligible otherwise; of profiles with the same deduplication key one.
 */
export interface ExportSelection {
  /** The columns of the due profiles in these hash partitions, in no order. Not for a selection that must be numbered. */
  rows(partitions: readonly number[]): Sql;
  /** What is due follows from what was delivered, and is fixed when the export is planned: `numbered`, then `rowsOf`. */
  readonly mustBeNumbered: boolean;
  /** Choosing takes every member, however few have changed. */
  readonly readsEveryone: boolean;
  /** Columns `number bigint, profile_id uuid, key bytea, leaves boolean` (tells that it left): the due rows, numbered from 1. */
  readonly numbered: Sql;
  /** Column `profile_id uuid`: the due profiles of which more may leave than that they left, each once. */
  readonly profiles: Sql;
  /** The columns of those in `chosen`, a query for `profile_id, key` as numbered, that are still eligible and have that key. */
  rowsOf(chosen: Sql): Sql;
  /** Up to `limit` of the due profiles, each as one column `fields text[]`. */
  sample(limit: number): Sql;
  /** One row, `due boolean`: whether any profile is due. */
  readonly anyDue: Sql;
  /**
   * Rows `reason text, profiles bigint` of those in the segment and, in a delta, touched: the due ones without a reason,
   * the others by the first that applies: `no-mapped-value`, `missing:<property>`, `not-in-target`, `no-deduplication-key`,
   * `no-consent`, `duplicate`. For a full export as dear as reading every profile.
   */
  readonly countByReason: Sql;
  /** Whether the goal withholds profiles for more than having no value at all. */
  readonly withholds: boolean;
  /** One row, `members bigint`: realized in the segment, eligible or not. */
  readonly countMembers: Sql;
  /** One row, `touched bigint`: profiles with a change the goal reads since the watermark, eligible or not. Delta only. */
  readonly countTouched: Sql | undefined;
  /** The conditions `explain` answers, in its order: reasons to be withheld. */
  readonly demands: readonly string[];
  /**
   * One row about one profile: `found boolean, erased_at timestamptz, status text, qualified_at timestamptz, met boolean[]`
   * (the demands), `changes text[]` (since the watermark, by kind), `holder uuid` (who has its deduplication key now),
   * `due boolean`.
   */
  explain(profileId: string): Sql;
}

export interface SelectionOptions {
  /** The watermark of a delta: a `pg_snapshot` as text. Undefined selects in full. */
  readonly since?: string | undefined;
  /** Of the connection, beside the goal's own. */
  readonly consentObjectives?: readonly string[] | undefined;
  /** A query for `key bytea, profile_id uuid`: who had each deduplication key in the last delivered export. */
  readonly delivered?: Sql | undefined;
}

/** The goals whose files are written side by side: one for each audience where the goal asks for that. */
export function audiencesOf(goal: ExportProfilesGoal): readonly ExportProfilesGoal[] {
  if (goal.audiences === 'one-file') return [goal];
  return segmentsOf(goal).map((segmentId) => ({ ...goal, segmentId, furtherSegmentIds: [], audiences: 'one-file' }));
}

function segmentsOf(goal: ExportProfilesGoal): readonly string[] {
  return [...new Set([goal.segmentId, ...goal.furtherSegmentIds])];
}

/**
 * A row is touched when its transaction was not visible in the watermark, under any interleaving of long and short transactions.
 * @throws InputError('segment-unknown', 'property-unknown', 'namespace-unknown'), TransientError('segment-building') while a segment has never been built.
 */
export function compileExportSelection(
  goal: ExportProfilesGoal,
  columns: ExportColumns,
  catalogue: Catalogue,
  { since, consentObjectives = [], delivered }: SelectionOptions = {},
): ExportSelection {
  if (goal.audiences !== 'one-file') throw new TypeError('each audience of a goal has a selection of its own');
  const segmentIds = segmentsOf(goal);
  segmentIds.forEach((id, index) =>
    checkSegment(catalogue, id, index === 0 ? 'segmentId' : `furtherSegmentIds[${index - 1}]`),
  );
  const objectives = objectivesOf(goal, consentObjectives);
  const remembers = remembersDelivered(goal, consentObjectives);
  const changes =
    since === undefined
      ? undefined
      : changesOf({ goal, segmentIds, objectives: objectives.flat(), remembers }, columns, catalogue, since);
  const touched = changes === undefined ? undefined : touchedProfiles(changes);
  // Of those only whose own change alone makes them due.
  const decisive =
    changes === undefined || goal.mode !== 'membership-only'
      ? touched
      : touchedProfiles(changes.filter(({ kind }) => kind !== 'profile'));
  const tellsExits = since !== undefined && goal.columns.some(({ source }) => source.kind === 'membership-status');

  const workspace = sql`p.workspace_id = ${sql.integer(catalogue.workspaceId)}`;
  const membership = membershipJoin(segmentIds, since, tellsExits);
  const demands = demandsOf(goal, columns, catalogue);
  const consent = consentDemand(objectives);
  const allDemands = consent === undefined ? demands : [...demands, consent];
  // Withdrawn since the watermark, whether or not it also left: told once, as one who left, where it was delivered before;
  // of who never consented a receiver learns nothing.
  const withdrawn =
    consent === undefined || since === undefined || !tellsExits
      ? undefined
      : sql`(EXISTS (SELECT FROM profile.consent wc WHERE wc.profile_id = p.id
          AND wc.objective = ANY (${textArray(objectives.flat())}) AND ${changedSince(sql`wc.changed_xid`, since)})
          AND EXISTS (SELECT FROM (${delivered ?? nobody}) AS told WHERE told.profile_id = p.id))`;
  const consented =
    consent === undefined ? [] : [withdrawn === undefined ? consent.met : sql`((${consent.met}) OR ${withdrawn})`];
  const due = [workspace, ...demands.map(({ met }) => met), ...consented];
  const status =
    consent === undefined || withdrawn === undefined
      ? sql`m.status`
      : sql`CASE WHEN ${consent.met} THEN m.status ELSE 'exited' END`;

  const { deduplicate } = goal;
  const key = rowKey(goal, remembers);
  const identities =
    deduplicate?.by === 'namespace'
      ? sql`JOIN profile.identity k ON k.profile_id = p.id
        AND k.namespace_id + 0 = ${sql.integer(namespaceIdOf(catalogue, deduplicate.namespace, 'deduplicate.namespace'))}`
      : sql.empty;
  const expressions = expressionsOf(goal, columns, withdrawn === undefined ? undefined : consent?.met);
  const erased =
    goal.tombstones && since !== undefined
      ? {
          expressions: goal.columns.map(({ source }) => {
            if (source.kind === 'profile-id') return sql`e.profile_id`;
            if (source.kind === 'membership-status') return sql`'erased'::text`;
            return source.kind === 'fixed' ? sql`${sql.literal(source.text)}::text` : sql`NULL::text`;
          }),
          where: sql`e.workspace_id = ${sql.integer(catalogue.workspaceId)} AND e.segment_ids && ${uuidArray(segmentIds)}
            AND ${changedSince(sql`e.changed_xid`, since)}`,
        }
      : undefined;

  const everyone = (conditions: readonly Sql[], joined: Sql = identities): Sql =>
    sql`FROM profile.profile AS p ${membership} ${joined} WHERE ${sql.join(conditions, ' AND ')}`;
  const from = (partitions: readonly number[], conditions: readonly Sql[], joined: Sql = identities): Sql => {
    const profiles = sql`${profileTables(partitions)} AS p`;
    const source =
      touched === undefined ? profiles : sql`(${touched}) AS touched JOIN ${profiles} ON p.id = touched.profile_id`;
    return sql`FROM ${source} ${membership} ${joined} WHERE ${sql.join(conditions, ' AND ')}`;
  };
  const withErased = (rows: Sql, list: (expressions: readonly Sql[]) => Sql): Sql =>
    erased === undefined
      ? rows
      : sql`${rows} UNION ALL SELECT ${list(erased.expressions)} FROM profile.tombstone e WHERE ${erased.where}`;

  const all = allPartitions();
  const mustBeNumbered = remembers;
  const leaves = sql`(${status}) <> 'realized' AS leaves`;
  const readsEveryone = deduplicate?.by === 'properties';
  const ranked = readsEveryone
    ? sql`SELECT p.id AS profile_id, ${key} AS key, ${leaves}, row_number() OVER (
      PARTITION BY ${key} ORDER BY ${status} = 'realized' DESC, m.qualified_at DESC, p.id DESC) AS place ${everyone(due)}`
    : sql`SELECT p.id AS profile_id, ${key} AS key, ${leaves}, 1 AS place ${from(all, due)}`;
  const isNew =
    touched === undefined
      ? sql`true`
      : sql`(touched.profile_id IS NOT NULL OR d.profile_id IS DISTINCT FROM ranked.profile_id)`;
  const rankedFrom = sql`(${ranked}) AS ranked ${
    touched === undefined
      ? sql.empty
      : sql`LEFT JOIN (${decisive}) AS touched USING (profile_id)
        LEFT JOIN (${delivered ?? nobody}) AS d ON d.key = ranked.key`
  }`;
  const winners = sql`SELECT ranked.profile_id, ranked.key, ranked.leaves FROM ${rankedFrom} WHERE ranked.place = 1 AND ${isNew}`;
  const chosenFirst = mustBeNumbered
    ? winners
    : sql`SELECT p.id AS profile_id, ${key} AS key, ${leaves} ${from(all, due)}`;
  const selected =
    erased === undefined
      ? chosenFirst
      : sql`${chosenFirst} UNION ALL SELECT e.profile_id, NULL::bytea, true FROM profile.tombstone e WHERE ${erased.where}`;

  const rowsOf = (chosen: Sql, list: (expressions: readonly Sql[]) => Sql): Sql => {
    const keyed = deduplicate === undefined && !mustBeNumbered ? due : [...due, sql`${key} = chosen.key`];
    const present = sql`SELECT ${list(expressions)} FROM (${chosen}) AS chosen JOIN profile.profile AS p ON p.id = chosen.profile_id
      ${membership} ${identities}
      WHERE ${sql.join(keyed, ' AND ')}`;
    if (erased === undefined) return present;
    return sql`${present} UNION ALL SELECT ${list(erased.expressions)} FROM (${chosen}) AS chosen
      JOIN profile.tombstone e ON e.profile_id = chosen.profile_id WHERE ${erased.where}`;
  };
  const fields = (list: readonly Sql[]): Sql => sql`ARRAY[${sql.join(list)}]::text[] AS fields`;
  const reasons = allDemands.map(({ met, reason }) =>
    reason === 'no-consent' && withdrawn !== undefined
      ? sql`WHEN NOT (${met}) AND NOT ${withdrawn} THEN ${sql.literal(reason)}`
      : sql`WHEN NOT (${met}) THEN ${sql.literal(reason)}`,
  );
  const reason = reasons.length === 0 ? sql`NULL::text` : sql`CASE ${sql.join(reasons, ' ')} END`;
  // An identity more is a row more, one profile less is one withheld.
  const withheld = sql`SELECT reason FROM (SELECT ${reason} AS reason ${from(all, [workspace], sql.empty)}) AS judged`;
  const found = mustBeNumbered
    ? sql`${withheld} WHERE reason IS NOT NULL
        UNION ALL SELECT CASE WHEN ranked.place > 1 THEN 'duplicate' END FROM ${rankedFrom}
        WHERE (ranked.place = 1 AND ${isNew}) OR (ranked.place > 1${touched === undefined ? sql.empty : sql` AND touched.profile_id IS NOT NULL`})`
    : deduplicate === undefined
      ? withheld
      : sql`${withheld} WHERE reason IS NOT NULL UNION ALL SELECT NULL ${from(all, due)}`;
  const counted =
    erased === undefined ? found : sql`${found} UNION ALL SELECT NULL FROM profile.tombstone e WHERE ${erased.where}`;

  return {
    rows: (partitions) => {
      if (mustBeNumbered) throw new TypeError('a deduplicated selection is written as it was numbered');
      const rows = sql`SELECT ${sql.join(expressions)} ${from(partitions, due)}`;
      return partitions.includes(0) ? withErased(rows, (list) => sql.join(list)) : rows;
    },
    mustBeNumbered,
    readsEveryone,
    numbered: sql`SELECT row_number() OVER () AS number, profile_id, key, leaves FROM (${selected}) AS selected`,
    profiles: sql`SELECT ${deduplicate?.by === 'namespace' ? sql`DISTINCT ` : sql.empty}p.id AS profile_id
      FROM (${chosenFirst}) AS chosen JOIN profile.profile p ON p.id = chosen.profile_id${
        consent === undefined ? sql.empty : sql` WHERE ${consent.met}`
      }`,
    rowsOf: (chosen) => rowsOf(chosen, (list) => sql.join(list)),
    sample: (limit) =>
      mustBeNumbered
        ? sql`${rowsOf(sql`SELECT * FROM (${selected}) AS selected LIMIT ${sql.integer(limit)}`, fields)}`
        : sql`SELECT fields FROM (${withErased(sql`SELECT ${fields(expressions)} ${from(all, due)}`, fields)}) AS due LIMIT ${sql.integer(limit)}`,
    anyDue: sql`SELECT EXISTS (${selected}) AS due`,
    countByReason: sql`SELECT reason, count(*) AS profiles FROM (${counted}) AS found
      GROUP BY reason`,
    withholds: demands.some(({ reason: why }) => why !== 'no-mapped-value') || consent !== undefined,
    countMembers: sql`SELECT count(${segmentIds.length === 1 ? sql`*` : sql`DISTINCT m.profile_id`}) AS members FROM profile.membership m
      WHERE m.segment_id ${isOneOf(segmentIds)} AND m.status = 'realized'`,
    countTouched: touched === undefined ? undefined : sql`SELECT count(*) AS touched FROM (${touched}) AS touched`,
    demands: allDemands.map(({ reason: why }) => why),
    explain: (profileId) => {
      const id = sql`${sql.literal(profileId)}::uuid`;
      const met = allDemands.map((demand) => sql`(${demand.met})`);
      const kinds = (changes ?? [])
        .filter(({ kind }) => goal.mode !== 'membership-only' || kind !== 'profile')
        .map(
          ({ kind, profiles }) =>
            sql`CASE WHEN EXISTS (SELECT FROM (${profiles}) AS changed WHERE changed.profile_id = ${id}) THEN ${sql.literal(kind)} END`,
        );
      return sql`SELECT p.id IS NOT NULL AS found, (SELECT erased_at FROM profile.tombstone WHERE profile_id = ${id}
            AND workspace_id = ${sql.integer(catalogue.workspaceId)}) AS erased_at, m.status, m.qualified_at,
          ARRAY[${sql.join(met)}]::boolean[] AS met, array_remove(ARRAY[${sql.join(kinds)}]::text[], NULL) AS changes,
          ${readsEveryone ? sql`(SELECT ranked.profile_id FROM (${ranked}) AS ranked WHERE ranked.place = 1 AND ranked.key = ${key})` : sql`NULL::uuid`} AS holder,
          EXISTS (SELECT FROM (${selected}) AS selected WHERE selected.profile_id = ${id}) AS due
        FROM (VALUES (1)) AS one
        LEFT JOIN profile.profile p ON p.id = ${id} AND ${workspace}
        LEFT JOIN LATERAL (SELECT CASE WHEN bool_or(s.status = 'realized') THEN 'realized' ELSE min(s.status) END AS status,
            max(s.qualified_at) AS qualified_at FROM profile.membership s
          WHERE s.profile_id = p.id AND s.segment_id ${isOneOf(segmentIds)}) m ON true`;
    },
  };
}

/** As nothing was delivered. */
const nobody = sql`SELECT NULL::bytea AS key, NULL::uuid AS profile_id WHERE false`;

function checkSegment(catalogue: Catalogue, id: string, at: string): void {
  const segment = catalogue.segments.get(id);
  if (segment === undefined) throw new InputError('segment-unknown', `the workspace has no segment ${id}`, { at });
  if (!segment.versions.some((version) => version.state === 'current')) {
    throw new TransientError('segment-building', `the segment ${JSON.stringify(segment.name)} is still being built`, {
      at,
    });
  }
}

/** Who is in the audience, as `m` with `status` and `qualified_at`: of several segments, whoever is in one of them. */
function membershipJoin(segmentIds: readonly string[], since: string | undefined, tellsExits: boolean): Sql {
  const [only] = segmentIds;
  if (segmentIds.length === 1 && only !== undefined) {
    const status =
      tellsExits && since !== undefined
        ? sql`(m.status = 'realized' OR (${changedSince(sql`m.changed_xid`, since)}))`
        : sql`m.status = 'realized'`;
    return sql`JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${sql.literal(only)} AND ${status}`;
  }
  const inOne = sql`s.segment_id ${isOneOf(segmentIds)}`;
  if (since === undefined) {
    return sql`JOIN (SELECT s.profile_id, 'realized' AS status, max(s.qualified_at) AS qualified_at FROM profile.membership s
      WHERE ${inOne} AND s.status = 'realized' GROUP BY s.profile_id) AS m ON m.profile_id = p.id`;
  }
  const left = tellsExits ? sql` OR bool_or(${changedSince(sql`s.changed_xid`, since)})` : sql.empty;
  return sql`JOIN LATERAL (SELECT CASE WHEN bool_or(s.status = 'realized') THEN 'realized' ELSE 'exited' END AS status,
      coalesce(max(s.qualified_at) FILTER (WHERE s.status = 'realized'), max(s.qualified_at)) AS qualified_at
    FROM profile.membership s WHERE s.profile_id = p.id AND ${inOne}
    HAVING bool_or(s.status = 'realized')${left}) AS m ON true`;
}

/**
 * What rows are the same by, as bytea: hashed with the store's own key, because it is kept from one export to the next.
 * NULL where nothing is remembered.
 */
function rowKey({ deduplicate, segmentId }: ExportProfilesGoal, remembers: boolean): Sql {
  if (deduplicate === undefined)
    return remembers ? sql`uuid_send(p.id) || uuid_send(${sql.literal(segmentId)}::uuid)` : sql`NULL::bytea`;
  const text =
    deduplicate.by === 'namespace'
      ? sql`k.value`
      : sql`jsonb_build_array(${sql.join(deduplicate.properties.map((name) => sql`p.properties->${sql.literal(name)}`))})::text`;
  return sql`sha256((SELECT tombstone_key FROM profile.store) || convert_to(${sql.literal(`${segmentId}:`)} || ${text}, 'UTF8'))`;
}

/** With `consented`, whoever has withdrawn consent leaves with identities and status alone. */
function expressionsOf(goal: ExportProfilesGoal, columns: ExportColumns, consented: Sql | undefined): readonly Sql[] {
  const { deduplicate } = goal;
  return columns.expressions.map((expression, index) => {
    const source = goal.columns[index]?.source;
    switch (source?.kind) {
      case 'identity':
        return deduplicate?.by === 'namespace' && deduplicate.namespace === source.namespace
          ? sql`k.value`
          : expression;
      case 'membership-status':
        return consented === undefined ? expression : sql`CASE WHEN ${consented} THEN m.status ELSE 'exited' END`;
      case 'profile-id':
      case 'consent':
      case 'fixed':
        return expression;
      default:
        return consented === undefined ? expression : sql`CASE WHEN ${consented} THEN ${expression} END`;
    }
  });
}

/** The hash partitions of part `part` (1-based) of `parts`: together the parts hold each partition once. */
export function partitionsOfPart(part: number, parts: number): readonly number[] {
  if (parts < 1 || parts > profilePartitions || part < 1 || part > parts)
    throw new RangeError(`no part ${part} of ${parts}`);
  return allPartitions().filter((partition) => partition % parts === part - 1);
}

function allPartitions(): number[] {
  return Array.from({ length: profilePartitions }, (_, partition) => partition);
}

/** Named tables, not a condition on the parent: the planner does not prune hash partitions by anything else. */
function profileTables(partitions: readonly number[]): Sql {
  const table = (partition: number): Sql => sql`profile.${sql.id(`profile_p${partition}`)}`;
  const [first] = partitions;
  if (first === undefined) throw new RangeError('a selection needs at least one partition');
  if (partitions.length === profilePartitions) return sql`profile.profile`;
  if (partitions.length === 1) return table(first);
  return sql`(${sql.join(
    partitions.map((partition) => sql`SELECT id, workspace_id, properties FROM ${table(partition)}`),
    ' UNION ALL ',
  )})`;
}

function isOneOf(ids: readonly string[]): Sql {
  const [only] = ids;
  return ids.length === 1 && only !== undefined ? sql`= ${sql.literal(only)}` : sql`= ANY (${uuidArray(ids)})`;
}

function uuidArray(ids: readonly string[]): Sql {
  return sql`ARRAY[${sql.join(ids.map((id) => sql.literal(id)))}]::uuid[]`;
}

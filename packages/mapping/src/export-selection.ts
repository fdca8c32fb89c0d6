import type { ExportProfilesGoal } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';
import {
  allPartitions,
  checkSegment,
  isOneOf,
  membersOnly,
  membersOrNot,
  profileTables,
  segmentsOf,
} from './export-audience.js';
import type { ExportColumns } from './export-columns.js';
import {
  consentDemand,
  demandsOf,
  namespaceIdOf,
  objectivesOf,
  remembersDelivered,
  tellsWhoLeft,
} from './export-demands.js';
import { changesOf, touchedProfiles } from './export-changes.js';
import { fatesSince, isWritten, nothingRemembered, type ReceiverMemory } from './export-memory.js';
import { toldRows } from './export-told.js';

/**
 * Which profiles an export writes, as SQL without parameters (COPY takes none).
 * Eligible: realized in one of the goal's segments, a value for at least one mapped property (where any is mapped) and for every
 * mandatory one, the identity and key it must have, consent to one of the objectives of goal and connection (where they have any).
 * Due: eligible and, in a delta, touched since the watermark; of profiles with the same deduplication key one. In a delta that says
 * who is in the segment, also whoever was delivered and is not eligible any more, and keys that nobody has any more.
 */
export interface ExportSelection {
  /** The columns of the due profiles in these hash partitions, in no order. Not for a selection that must be numbered. */
  rows(partitions: readonly number[]): Sql;
  /** What is due follows from what was delivered, and is fixed when the export is planned: `numbered`, then `rowsOf`. */
  readonly mustBeNumbered: boolean;
  /** Choosing takes every member. */
  readonly readsEveryone: boolean;
  /**
   * Columns `number bigint, profile_id uuid, key bytea, fate text` (a `Fate`)`, sealed text, known text`: the due rows, numbered from
   * 1, and what else is to be remembered, numbered from -1 downwards.
   */
  readonly numbered: Sql;
  /** `known` is what will be told of a key that is gone: to be sealed, and kept instead of `sealed`. */
  readonly sealsKeys: boolean;
  /** Column `profile_id uuid`: the due profiles of which more may leave than that they left, each once. */
  readonly profiles: Sql;
  /** The columns of `chosen`, a query for `number, profile_id, key, fate` as numbered: of who is still eligible, and of who left. */
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
   * `fate text` (what is written of it, a `Fate`; NULL: nothing).
   */
  explain(profileId: string): Sql;
}

export interface SelectionOptions {
  /** The watermark of a delta: a `pg_snapshot` as text. Undefined selects in full. */
  readonly since?: string | undefined;
  /** Of the connection, beside the goal's own. */
  readonly consentObjectives?: readonly string[] | undefined;
  /** What the receiver was told up to the watermark. */
  readonly memory?: ReceiverMemory | undefined;
}

/**
 * A row is touched when its transaction was not visible in the watermark, under any interleaving of long and short transactions.
 * @throws InputError('segment-unknown', 'property-unknown', 'namespace-unknown'), TransientError('segment-building') while a segment has never been built.
 */
export function compileExportSelection(
  goal: ExportProfilesGoal,
  columns: ExportColumns,
  catalogue: Catalogue,
  { since, consentObjectives = [], memory = nothingRemembered }: SelectionOptions = {},
): ExportSelection {
  if (goal.audiences !== 'one-file') throw new TypeError('each audience of a goal has a selection of its own');
  const segmentIds = segmentsOf(goal);
  segmentIds.forEach((id, index) =>
    checkSegment(catalogue, id, index === 0 ? 'segmentId' : `furtherSegmentIds[${index - 1}]`),
  );
  const objectives = objectivesOf(goal, consentObjectives);
  const remembers = remembersDelivered(goal);
  const { deduplicate } = goal;
  const byProperties = deduplicate?.by === 'properties';
  const tells = since !== undefined && tellsWhoLeft(goal);
  const changes =
    since === undefined
      ? undefined
      : changesOf({ goal, segmentIds, objectives: objectives.flat(), remembers }, columns, catalogue, since);
  const touched = changes === undefined ? undefined : touchedProfiles(changes);

  const workspace = sql`p.workspace_id = ${sql.integer(catalogue.workspaceId)}`;
  const demands = demandsOf(goal, columns, catalogue);
  const consent = consentDemand(objectives);
  const allDemands = consent === undefined ? demands : [...demands, consent];
  const due = [workspace, ...allDemands.map(({ met }) => met)];
  const eligible = sql`(m.status IS NOT DISTINCT FROM 'realized' AND ${sql.join(due, ' AND ')})`;
  const reasons = allDemands.map(({ met, reason }) => sql`WHEN NOT (${met}) THEN ${sql.literal(reason)}`);
  const reason = reasons.length === 0 ? sql`NULL::text` : sql`CASE ${sql.join(reasons, ' ')} END`;

  const key = rowKey(goal, remembers);
  const identities =
    deduplicate?.by === 'namespace'
      ? sql`JOIN profile.identity k ON k.profile_id = p.id
        AND k.namespace_id + 0 = ${sql.integer(namespaceIdOf(catalogue, deduplicate.namespace, 'deduplicate.namespace'))}`
      : sql.empty;
  const members = membersOnly(segmentIds, since === undefined);
  const anybody = membersOrNot(segmentIds);
  const sealsKeys = remembers && deduplicate !== undefined && tellsWhoLeft(goal);
  const known = sealsKeys ? knownOfKey(goal) : sql`NULL::text`;

  const everyone = (conditions: readonly Sql[]): Sql =>
    sql`FROM profile.profile AS p ${members} ${identities} WHERE ${sql.join(conditions, ' AND ')}`;
  const from = (partitions: readonly number[], conditions: readonly Sql[], joined: Sql = identities): Sql => {
    const profiles = sql`${profileTables(partitions)} AS p`;
    const source =
      touched === undefined ? profiles : sql`(${touched}) AS touched JOIN ${profiles} ON p.id = touched.profile_id`;
    return sql`FROM ${source} ${members} ${joined} WHERE ${sql.join(conditions, ' AND ')}`;
  };

  const all = allPartitions();
  const mustBeNumbered = remembers || byProperties;
  const ranked = sql`SELECT p.id AS profile_id, ${key} AS key, ${known} AS known, row_number() OVER (
      PARTITION BY ${key} ORDER BY m.qualified_at DESC, p.id DESC) AS place ${everyone(due)}`;
  const fates =
    remembers && since !== undefined && changes !== undefined
      ? fatesSince({
          goal,
          workspaceId: catalogue.workspaceId,
          since,
          changes,
          memory,
          tells,
          keyed: deduplicate !== undefined,
          key,
          known,
          members: sql`${members} ${identities}`,
          anybody,
          due: sql.join(due, ' AND '),
          reason,
        })
      : byProperties
        ? sql`SELECT profile_id, key, CASE WHEN place = 1 THEN 'row' ELSE 'next' END AS fate, NULL::text AS sealed, known, true AS decisive
            FROM (${ranked}) AS ranked`
        : sql`SELECT p.id AS profile_id, ${key} AS key, 'row' AS fate, NULL::text AS sealed, ${known} AS known, true AS decisive ${from(all, due)}`;
  const written = sql`SELECT * FROM (${fates}) AS judged WHERE ${isWritten}`;
  const kept =
    remembers && deduplicate !== undefined ? sql`SELECT * FROM (${fates}) AS judged WHERE fate IS NOT NULL` : written;
  // Who left stands before who came: a person erased may be back by the same identities.
  const order = tells ? sql`ORDER BY fate = 'row'` : sql.empty;
  const number =
    remembers && deduplicate !== undefined
      ? sql`row_number() OVER (PARTITION BY ${isWritten} ${order}) * CASE WHEN ${isWritten} THEN 1 ELSE -1 END`
      : sql`row_number() OVER (${order})`;

  const expressions = expressionsOf(goal, columns, tells ? { eligible, consented: consent?.met } : undefined);
  const rowsOf = (chosen: Sql, list: (expressions: readonly Sql[]) => Sql): Sql => {
    const keyed = deduplicate === undefined ? [] : [sql`${key} = chosen.key`];
    if (!tells)
      return sql`SELECT ${list(expressions)} FROM (${chosen}) AS chosen JOIN profile.profile AS p ON p.id = chosen.profile_id
        ${members} ${identities} WHERE ${sql.join([...due, ...keyed], ' AND ')}`;
    return sql`WITH chosen AS MATERIALIZED (${chosen})
      ${toldRows(goal, columns, catalogue, sql`SELECT number, profile_id, fate FROM chosen`, list)}
      UNION ALL SELECT ${list(expressions)} FROM chosen JOIN profile.profile AS p ON p.id = chosen.profile_id AND chosen.fate IN ('row', 'left')
        ${anybody} ${identities} WHERE ${sql.join([workspace, sql`(chosen.fate = 'left' OR ${eligible})`, ...keyed], ' AND ')}`;
  };
  const fields = (list: readonly Sql[]): Sql =>
    sql`ARRAY[${sql.join(list.map((expression) => sql`(${expression})::text`))}] AS fields`;
  // An identity more is a row more, one profile less is one withheld.
  const withheld = sql`SELECT reason FROM (SELECT ${reason} AS reason ${from(all, [workspace], sql.empty)}) AS withheld`;
  const ofKeys = sql`${withheld} WHERE reason IS NOT NULL
      UNION ALL SELECT CASE WHEN fate = 'next' THEN 'duplicate' END FROM (${fates}) AS judged
      WHERE ${isWritten} OR (fate = 'next' AND decisive)`;
  const found = !mustBeNumbered
    ? deduplicate === undefined
      ? withheld
      : sql`${withheld} WHERE reason IS NOT NULL UNION ALL SELECT NULL ${from(all, due)}`
    : deduplicate !== undefined
      ? ofKeys
      : since === undefined
        ? withheld
        : sql`SELECT CASE WHEN fate IS NULL THEN reason END AS reason FROM (${fates}) AS judged WHERE fate IS NOT NULL OR reason IS NOT NULL`;

  return {
    rows: (partitions) => {
      if (mustBeNumbered)
        throw new TypeError('a selection that follows from what was delivered is written as it was numbered');
      return sql`SELECT ${sql.join(expressions)} ${from(partitions, due)}`;
    },
    mustBeNumbered,
    readsEveryone: byProperties && since === undefined,
    numbered: sql`SELECT ${number} AS number, profile_id, key, fate, sealed, known FROM (${kept}) AS kept`,
    sealsKeys,
    profiles: sql`SELECT ${deduplicate?.by === 'namespace' ? sql`DISTINCT ` : sql.empty}p.id AS profile_id
      FROM (${written}) AS chosen JOIN profile.profile p ON p.id = chosen.profile_id WHERE chosen.fate IN ('row', 'left')${
        consent === undefined ? sql.empty : sql` AND ${consent.met}`
      }`,
    rowsOf: (chosen) => rowsOf(chosen, (list) => sql.join(list)),
    sample: (limit) =>
      mustBeNumbered
        ? rowsOf(
            sql`SELECT NULL::bigint AS number, profile_id, key, fate FROM (${written}) AS written LIMIT ${sql.integer(limit)}`,
            fields,
          )
        : sql`SELECT ${fields(expressions)} ${from(all, due)} LIMIT ${sql.integer(limit)}`,
    anyDue: sql`SELECT EXISTS (${written}) AS due`,
    countByReason: sql`SELECT reason, count(*) AS profiles FROM (${found}) AS found
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
          ${byProperties ? sql`(SELECT ranked.profile_id FROM (${ranked}) AS ranked WHERE ranked.place = 1 AND ranked.key = ${key})` : sql`NULL::uuid`} AS holder,
          (SELECT min(written.fate) FROM (${written}) AS written WHERE written.profile_id = ${id}) AS fate
        FROM (VALUES (1)) AS one
        LEFT JOIN profile.profile p ON p.id = ${id} AND ${workspace}
        ${membersOrNot(segmentIds)}`;
    },
  };
}

/**
 * What rows are the same by, as bytea: where it is more than the profile, hashed with the store's own key, because it is kept
 * from one export to the next. NULL where nothing is remembered.
 */
function rowKey({ deduplicate, segmentId }: ExportProfilesGoal, remembers: boolean): Sql {
  if (deduplicate === undefined) return remembers ? sql`uuid_send(p.id)` : sql`NULL::bytea`;
  const text = deduplicate.by === 'namespace' ? sql`k.value` : sql`${valuesOf(deduplicate.properties)}::text`;
  return sql`sha256((SELECT tombstone_key FROM profile.store) || convert_to(${sql.literal(`${segmentId}:`)} || ${text}, 'UTF8'))`;
}

function valuesOf(properties: readonly string[]): Sql {
  return sql`jsonb_build_array(${sql.join(properties.map((name) => sql`p.properties->${sql.literal(name)}`))})`;
}

/** What `toldRows` needs to say which key is gone. */
function knownOfKey({ deduplicate }: ExportProfilesGoal): Sql {
  if (deduplicate?.by !== 'properties') return sql`jsonb_build_object('value', k.value)::text`;
  const pairs = deduplicate.properties.map((name) => sql`${sql.literal(name)}, p.properties->${sql.literal(name)}`);
  return sql`jsonb_build_object('properties', jsonb_build_object(${sql.join(pairs)}))::text`;
}

/**
 * @param leaving where rows tell of those who left as well: whether the profile is eligible, and whether it consents; who has withdrawn
 *   that leaves with identities and status alone
 */
function expressionsOf(
  goal: ExportProfilesGoal,
  columns: ExportColumns,
  leaving: { readonly eligible: Sql; readonly consented: Sql | undefined } | undefined,
): readonly Sql[] {
  const { deduplicate } = goal;
  return columns.expressions.map((expression, index) => {
    const source = goal.columns[index]?.source;
    switch (source?.kind) {
      case 'identity':
        return deduplicate?.by === 'namespace' && deduplicate.namespace === source.namespace
          ? sql`k.value`
          : expression;
      case 'membership-status':
        return leaving === undefined ? expression : sql`CASE WHEN ${leaving.eligible} THEN m.status ELSE 'exited' END`;
      case 'profile-id':
      case 'consent':
      case 'fixed':
        return expression;
      default:
        return leaving?.consented === undefined
          ? expression
          : sql`CASE WHEN ${leaving.consented} THEN ${expression} END`;
    }
  });
}

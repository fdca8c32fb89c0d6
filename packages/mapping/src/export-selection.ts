import { type ExportProfilesGoal, InputError, TransientError } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';
import type { ExportColumns } from './export-columns.js';

/** profile.profile is partitioned by hash of the id into this many tables, `profile_p0` and on: a stored constant. */
export const profilePartitions = 8;

/**
 * Which profiles an export writes, as SQL without parameters (COPY takes none).
 * Eligible: realized in the goal's segment, a value for at least one mapped property (where any is mapped) and for every
 * mandatory one, consent to at least one of the goal's objectives (where it has any). Due: eligible and, in a delta, touched since the watermark;
 * in a delta that says who is in the segment, also those who left it since and are eligible otherwise.
 */
export interface ExportSelection {
  /** The columns of the due profiles in these hash partitions, in no order. */
  rows(partitions: readonly number[]): Sql;
  /** Columns `number bigint, profile_id uuid`: the due profiles, numbered from 1. */
  readonly numbered: Sql;
  /** The columns of those in `chosen`, a query for `profile_id`, that are still in the segment and eligible. */
  rowsOf(chosen: Sql): Sql;
  /** Up to `limit` of the due profiles, each as one column `fields text[]`. */
  sample(limit: number): Sql;
  /** One row, `due boolean`: whether any profile is due. */
  readonly anyDue: Sql;
  /**
   * Rows `reason text, profiles bigint` of those in the segment and, in a delta, touched: the due ones without a reason,
   * the others by the first that applies: `no-mapped-value`, `missing:<property>`, `no-consent`. For a full export as dear
   * as reading every profile.
   */
  readonly countByReason: Sql;
  /** Whether the goal withholds profiles for more than having no value at all. */
  readonly withholds: boolean;
  /** One row, `members bigint`: realized in the segment, eligible or not. */
  readonly countMembers: Sql;
  /** One row, `touched bigint`: profiles with a change the goal reads since the watermark, eligible or not. Delta only. */
  readonly countTouched: Sql | undefined;
}

/**
 * @param since The watermark of a delta: a `pg_snapshot` as text. Undefined selects in full. A row is touched when its
 *   transaction was not visible in that snapshot, under any interleaving of long and short transactions.
 * @throws InputError('segment-unknown', 'property-unknown'), TransientError('segment-building') while the segment has never been built.
 */
export function compileExportSelection(
  goal: ExportProfilesGoal,
  columns: ExportColumns,
  catalogue: Catalogue,
  since: string | undefined,
): ExportSelection {
  const segment = catalogue.segments.get(goal.segmentId);
  if (segment === undefined) {
    throw new InputError('segment-unknown', `the workspace has no segment ${goal.segmentId}`, { at: 'segmentId' });
  }
  if (!segment.versions.some((version) => version.state === 'current')) {
    throw new TransientError('segment-building', `the segment ${JSON.stringify(segment.name)} is still being built`, {
      at: 'segmentId',
    });
  }

  const touched = since === undefined ? undefined : touchedProfiles(goal, columns, catalogue, since);
  const tellsExits = since !== undefined && goal.columns.some(({ source }) => source.kind === 'membership-status');
  const status = tellsExits
    ? sql`(m.status = 'realized' OR (${changedSince(sql`m.changed_xid`, since)}))`
    : sql`m.status = 'realized'`;
  const workspace = sql`p.workspace_id = ${sql.integer(catalogue.workspaceId)}`;
  const demands = demandsOf(goal, columns, catalogue);
  const membership = sql`JOIN profile.membership m ON m.profile_id = p.id AND m.segment_id = ${sql.literal(segment.id)} AND ${status}`;
  const from = (partitions: readonly number[], conditions: readonly Sql[]): Sql => {
    const profiles = sql`${profileTables(partitions)} AS p`;
    const source =
      touched === undefined ? profiles : sql`(${touched}) AS touched JOIN ${profiles} ON p.id = touched.profile_id`;
    return sql`FROM ${source}
      ${membership}
      WHERE ${sql.join(conditions, ' AND ')}`;
  };
  const all = allPartitions();
  const due = [workspace, ...demands.map(({ met }) => met)];
  const reason =
    demands.length === 0
      ? sql`NULL::text`
      : sql`CASE ${sql.join(
          demands.map(({ met, reason }) => sql`WHEN NOT (${met}) THEN ${sql.literal(reason)}`),
          ' ',
        )} END`;

  return {
    rows: (partitions) => sql`SELECT ${sql.join(columns.expressions)} ${from(partitions, due)}`,
    numbered: sql`SELECT row_number() OVER () AS number, p.id AS profile_id ${from(all, due)}`,
    rowsOf: (chosen) =>
      sql`SELECT ${sql.join(columns.expressions)} FROM (${chosen}) AS chosen JOIN profile.profile AS p ON p.id = chosen.profile_id
      ${membership}
      WHERE ${sql.join(due, ' AND ')}`,
    sample: (limit) =>
      sql`SELECT ARRAY[${sql.join(columns.expressions)}]::text[] AS fields ${from(all, due)} LIMIT ${sql.integer(limit)}`,
    anyDue: sql`SELECT EXISTS (SELECT ${from(all, due)}) AS due`,
    countByReason: sql`SELECT reason, count(*) AS profiles FROM (SELECT ${reason} AS reason ${from(all, [workspace])}) AS found
      GROUP BY reason`,
    withholds: goal.mandatory.length > 0 || goal.consentObjectives.length > 0,
    countMembers: sql`SELECT count(*) AS members FROM profile.membership m
      WHERE m.segment_id = ${sql.literal(segment.id)} AND m.status = 'realized'`,
    countTouched: touched === undefined ? undefined : sql`SELECT count(*) AS touched FROM (${touched}) AS touched`,
  };
}

/** What a profile must have to be exported, and how one is counted that does not. */
interface Demand {
  readonly reason: string;
  /** Never NULL. */
  readonly met: Sql;
}

function demandsOf(goal: ExportProfilesGoal, columns: ExportColumns, catalogue: Catalogue): readonly Demand[] {
  const demands: Demand[] = [];
  if (columns.reads.properties.length > 0)
    demands.push({ reason: 'no-mapped-value', met: sql`p.properties ?| ${textArray(columns.reads.properties)}` });
  goal.mandatory.forEach((name, index) => {
    if (!catalogue.properties.has(name)) {
      throw new InputError('property-unknown', `the workspace has no property ${JSON.stringify(name)}`, {
        at: `mandatory[${index}]`,
      });
    }
    demands.push({ reason: `missing:${name}`, met: sql`p.properties ? ${sql.literal(name)}` });
  });
  if (goal.consentObjectives.length > 0) {
    demands.push({
      reason: 'no-consent',
      met: sql`EXISTS (SELECT FROM profile.consent c
    WHERE c.profile_id = p.id AND c.objective = ANY (${textArray(goal.consentObjectives)}) AND c.granted)`,
    });
  }
  return demands;
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

/** Every profile with a change that the goal reads or filters by, or only of its membership where it says so. A change of identities stamps the profile itself. */
function touchedProfiles(goal: ExportProfilesGoal, columns: ExportColumns, catalogue: Catalogue, since: string): Sql {
  const changed = (xid: Sql): Sql => changedSince(xid, since);
  if (goal.mode === 'membership-only') return changedMemberships(goal.segmentId, since);
  const branches = [
    sql`SELECT tp.id AS profile_id FROM profile.profile tp WHERE tp.workspace_id = ${sql.integer(catalogue.workspaceId)} AND ${changed(sql`tp.changed_xid`)}`,
  ];
  const segmentIds = [...new Set([goal.segmentId, ...columns.reads.segmentIds])];
  for (const segmentId of segmentIds) {
    branches.push(changedMemberships(segmentId, since));
  }
  const objectives = [...new Set([...goal.consentObjectives, ...columns.reads.objectives])];
  if (objectives.length > 0) {
    branches.push(
      sql`SELECT tc.profile_id FROM profile.consent tc WHERE tc.objective = ANY (${textArray(objectives)}) AND ${changed(sql`tc.changed_xid`)}`,
    );
  }
  return sql`${sql.join(branches, ' UNION ')}`;
}

function changedMemberships(segmentId: string, since: string): Sql {
  return sql`SELECT tm.profile_id FROM profile.membership tm WHERE tm.segment_id = ${sql.literal(segmentId)} AND ${changedSince(sql`tm.changed_xid`, since)}`;
}

/** The first condition is for the index, the second for the truth. */
function changedSince(xid: Sql, since: string): Sql {
  const snapshot = sql`${sql.literal(since)}::pg_snapshot`;
  return sql`${xid} >= pg_snapshot_xmin(${snapshot}) AND NOT pg_visible_in_snapshot(${xid}, ${snapshot})`;
}

function textArray(values: readonly string[]): Sql {
  return sql`ARRAY[${sql.join(values.map((value) => sql.literal(value)))}]::text[]`;
}

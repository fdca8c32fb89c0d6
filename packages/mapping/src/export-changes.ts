import type { ExportProfilesGoal } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';
import { textArray } from './export-demands.js';
import { exportedEventTypeIds } from './export-events.js';
import type { ExportColumns } from './export-columns.js';

/** A kind of change that makes profiles due, and the query for their `profile_id`. */
export interface Change {
  readonly kind: 'profile' | 'segment' | 'consent' | 'group' | 'event' | 'erased';
  readonly profiles: Sql;
}

export interface Audience {
  readonly goal: ExportProfilesGoal;
  readonly segmentIds: readonly string[];
  /** Of goal and connection. */
  readonly objectives: readonly string[];
  /** Who was delivered is remembered. */
  readonly remembers: boolean;
}

/**
 * Everything that the goal reads or filters by and that changed since the watermark; only what decides who is in its
 * audience where the goal asks for that; then a changed profile is due only where it was not delivered
 * before. A change of identities stamps the profile itself.
 */
export function changesOf(
  { goal, segmentIds, objectives, remembers }: Audience,
  columns: ExportColumns,
  catalogue: Catalogue,
  since: string,
): readonly Change[] {
  const changed = (xid: Sql): Sql => changedSince(xid, since);
  const workspaceId = sql.integer(catalogue.workspaceId);
  const memberships = (ids: readonly string[]): readonly Change[] =>
    [...new Set(ids)].map((id) => ({
      kind: 'segment',
      profiles: sql`SELECT tm.profile_id FROM profile.membership tm WHERE tm.segment_id = ${sql.literal(id)} AND ${changed(sql`tm.changed_xid`)}`,
    }));
  const consent = (names: readonly string[]): readonly Change[] =>
    names.length === 0
      ? []
      : [
          {
            kind: 'consent',
            profiles: sql`SELECT tc.profile_id FROM profile.consent tc WHERE tc.objective = ANY (${textArray([...new Set(names)])}) AND ${changed(sql`tc.changed_xid`)}`,
          },
        ];
  const types = columns.reads.groupTypeIds;
  const ofTypes = sql`g.group_type_id = ANY (ARRAY[${sql.join(types.map((id) => sql.integer(id)))}]::int[])`;
  const groups: readonly Change[] =
    types.length === 0
      ? []
      : [
          {
            kind: 'group',
            profiles: sql`SELECT gm.profile_id FROM profile.group g JOIN profile.group_member gm ON gm.group_id = g.id WHERE ${ofTypes} AND ${changed(sql`g.changed_xid`)}`,
          },
          {
            kind: 'group',
            profiles: sql`SELECT gm.profile_id FROM profile.group_member gm JOIN profile.group g ON g.id = gm.group_id WHERE ${ofTypes} AND ${changed(sql`gm.changed_xid`)}`,
          },
        ];
  const exported = goal.timeline?.countsAsChange === true ? exportedEventTypeIds(goal, catalogue) : [];
  const eventTypeIds = [...new Set([...exported, ...columns.reads.eventTypeIds])];
  const events: readonly Change[] =
    eventTypeIds.length === 0
      ? []
      : [
          {
            kind: 'event',
            profiles: sql`SELECT tv.profile_id FROM profile.event tv WHERE tv.event_type_id = ANY (ARRAY[${sql.join(eventTypeIds.map((id) => sql.integer(id)))}]::int[]) AND ${changed(sql`tv.changed_xid`)}`,
          },
        ];
  // Who held a key and is no more leaves it to the next, and who was delivered is told of; the profile itself has no row to be touched.
  const erased: readonly Change[] =
    remembers || goal.deduplicate !== undefined
      ? [
          {
            kind: 'erased',
            profiles: sql`SELECT te.profile_id FROM profile.tombstone te WHERE te.workspace_id = ${workspaceId} AND ${changed(sql`te.changed_xid`)}`,
          },
        ]
      : [];
  const profiles: Change = {
    kind: 'profile',
    profiles: sql`SELECT tp.id AS profile_id FROM profile.profile tp WHERE tp.workspace_id = ${workspaceId} AND ${changed(sql`tp.changed_xid`)}`,
  };
  if (goal.mode === 'membership-only')
    return [...memberships(segmentIds), ...consent(objectives), ...erased, ...(remembers ? [profiles] : [])];
  return [
    profiles,
    ...memberships([...segmentIds, ...columns.reads.segmentIds]),
    ...consent([...objectives, ...columns.reads.objectives]),
    ...groups,
    ...events,
    ...erased,
  ];
}

/** Each profile once. */
export function touchedProfiles(changes: readonly Change[]): Sql {
  return sql.join(
    changes.map(({ profiles }) => profiles),
    ' UNION ',
  );
}

/** The first condition is for the index, the second for the truth. */
export function changedSince(xid: Sql, since: string): Sql {
  const snapshot = sql`${sql.literal(since)}::pg_snapshot`;
  return sql`${xid} >= pg_snapshot_xmin(${snapshot}) AND NOT pg_visible_in_snapshot(${xid}, ${snapshot})`;
}

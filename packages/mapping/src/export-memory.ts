import type { ExportProfilesGoal } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import { changedSince, type Change } from './export-changes.js';

/**
 * What becomes of a key in an export. Written: `row`, it has this profile's row; `left`, the receiver is told that the profile is
 * not in the audience any more; `gone`, that nobody has the key any more; `erased`, that the profile is no more. Only remembered:
 * `next`, the profile has the key too, but another one goes before it; `forget`, it has it no more.
 */
export type Fate = 'row' | 'left' | 'gone' | 'erased' | 'next' | 'forget';

/** Over the columns of a query of fates. */
export const isWritten = sql`fate IN ('row', 'left', 'gone', 'erased')`;

/** What a goal's earlier exports have told its receiver. Queries without parameters. */
export interface ReceiverMemory {
  /** `key bytea, profile_id uuid, holds boolean, sealed text`: who has each key, and whose row was delivered for it. */
  readonly delivered: Sql;
  /** `profile_id uuid, sealed text`: by what the receiver knows profiles that were erased. */
  readonly lastWords: Sql;
}

export const nothingRemembered: ReceiverMemory = {
  delivered: sql`SELECT NULL::bytea AS key, NULL::uuid AS profile_id, NULL::boolean AS holds, NULL::text AS sealed WHERE false`,
  lastWords: sql`SELECT NULL::uuid AS profile_id, NULL::text AS sealed WHERE false`,
};

/** What judging profiles takes. All conditions and expressions are over `p` of profile.profile and its joined `m`. */
export interface Judging {
  readonly goal: ExportProfilesGoal;
  readonly workspaceId: number;
  readonly since: string;
  readonly changes: readonly Change[];
  readonly memory: ReceiverMemory;
  /** The receiver is told of who left. */
  readonly tells: boolean;
  /** Where rows have a key of several profiles, or a profile several. */
  readonly keyed: boolean;
  readonly key: Sql;
  /** What the key is made of, as JSON text; NULL where it need not be remembered. */
  readonly known: Sql;
  /** Joins `m` and `k` of members alone. */
  readonly members: Sql;
  /** Joins `m` of anybody. */
  readonly anybody: Sql;
  /** Whether a member is eligible. */
  readonly due: Sql;
  /** Over anybody: why a profile is withheld that else would be due; NULL where it is eligible. */
  readonly reason: Sql;
}

/** Changes of the profile alone make nobody due of whom a goal tells memberships, unless it was not delivered before. */
function touchedBy({ goal, changes }: Judging): Sql {
  const decides = ({ kind }: Change): Sql =>
    goal.mode === 'membership-only' && kind === 'profile' ? sql`false` : sql`true`;
  const all = changes.map(
    (change) => sql`SELECT changed.profile_id, ${decides(change)} AS decisive FROM (${change.profiles}) AS changed`,
  );
  return sql`SELECT profile_id, bool_or(decisive) AS decisive FROM (${sql.join(all, ' UNION ALL ')}) AS changed GROUP BY profile_id`;
}

/**
 * A query of `profile_id, key, fate, sealed, known, decisive, reason` about everything touched since the watermark: what the
 * receiver must be told, so that what it believes is what the store holds. Reads what was touched, never every member.
 * A fate of NULL: nothing to tell.
 */
export function fatesSince(judging: Judging): Sql {
  return judging.keyed ? fatesOfKeys(judging) : fatesOfProfiles(judging);
}

/** Each profile stands for itself: eligible, or else told to have left if it was delivered. */
function fatesOfProfiles(judging: Judging): Sql {
  const { workspaceId, since, memory, tells, key, anybody, due, reason } = judging;
  const left = tells ? sql`WHEN NOT judged.eligible AND judged.told THEN 'left'` : sql.empty;
  const living = sql`SELECT judged.profile_id, judged.key,
      CASE WHEN judged.eligible AND (judged.decisive OR NOT judged.told) THEN 'row' ${left} END AS fate,
      NULL::text AS sealed, NULL::text AS known, judged.decisive, judged.reason
    FROM (
      SELECT p.id AS profile_id, ${key} AS key, touched.decisive, d.key IS NOT NULL AS told,
        (m.status IS NOT DISTINCT FROM 'realized' AND ${due}) AS eligible,
        CASE WHEN m.status = 'realized' THEN ${reason} END AS reason
      FROM (${touchedBy(judging)}) AS touched JOIN profile.profile AS p ON p.id = touched.profile_id ${anybody}
      LEFT JOIN (${memory.delivered}) AS d ON d.key = ${key}
      WHERE p.workspace_id = ${sql.integer(workspaceId)}
    ) AS judged`;
  if (!tells) return living;
  return sql`${living} UNION ALL SELECT e.profile_id, d.key, 'erased', words.sealed, NULL, true, NULL
    FROM profile.tombstone e JOIN (${memory.delivered}) AS d ON d.key = uuid_send(e.profile_id)
    LEFT JOIN (${memory.lastWords}) AS words ON words.profile_id = e.profile_id
    WHERE e.workspace_id = ${sql.integer(workspaceId)} AND ${changedSince(sql`e.changed_xid`, since)}`;
}

/**
 * Of each key that a touched profile has or had the winner is chosen again, among the touched and those who are remembered to have
 * it. Aggregates and windows put the findings together: an export that touches little is held to nested loops, and these would
 * walk through lists without an index.
 */
function fatesOfKeys(judging: Judging): Sql {
  const { workspaceId, memory, tells, key, known, members, due } = judging;
  const standing = (of: Sql): Sql =>
    sql`FROM ${of} AS asked JOIN profile.profile AS p ON p.id = asked.profile_id ${members}
    WHERE p.workspace_id = ${sql.integer(workspaceId)} AND ${due}`;
  const gone = tells ? sql`WHEN NOT stands AND holds AND NOT kept THEN 'gone'` : sql.empty;
  return sql`WITH touched AS MATERIALIZED (${touchedBy(judging)}),
    keys AS MATERIALIZED (
      SELECT d.key FROM touched JOIN (${memory.delivered}) AS d ON d.profile_id = touched.profile_id
      UNION SELECT ${key} AS key ${standing(sql`touched`)}
    ), remembered AS MATERIALIZED (
      SELECT d.key, d.profile_id, d.holds, d.sealed FROM keys JOIN (${memory.delivered}) AS d ON d.key = keys.key
    ), candidate AS MATERIALIZED (
      SELECT profile_id, bool_or(decisive) AS decisive
      FROM (SELECT profile_id, decisive FROM touched UNION ALL SELECT profile_id, false FROM remembered) AS either GROUP BY profile_id
    ), finding AS (
      SELECT ${key} AS key, p.id AS profile_id, m.qualified_at, asked.decisive, true AS stands, NULL::boolean AS holds, NULL::text AS sealed, ${known} AS known, false AS asked
        ${standing(sql`candidate`)}
      UNION ALL SELECT key, profile_id, NULL, false, false, holds, sealed, NULL, false FROM remembered
      UNION ALL SELECT key, NULL, NULL, false, false, NULL, NULL, NULL, true FROM keys
    ), found AS (
      SELECT key, profile_id, max(qualified_at) AS qualified_at, bool_or(decisive) AS decisive, bool_or(stands) AS stands,
        bool_or(holds) AS holds, max(sealed) AS sealed, max(known) AS known, bool_or(asked) AS asked
      FROM finding GROUP BY key, profile_id
    ), ruled AS (
      SELECT profile_id, key, decisive, stands, holds, sealed, known,
        row_number() OVER (PARTITION BY key ORDER BY stands DESC, qualified_at DESC NULLS LAST, profile_id DESC) AS place,
        bool_or(stands) OVER same AS kept, bool_or(asked) OVER same AS asked,
        (array_agg(profile_id) FILTER (WHERE holds) OVER same)[1] AS holder
      FROM found WINDOW same AS (PARTITION BY key)
    )
    SELECT profile_id, key,
      CASE WHEN profile_id IS NULL OR NOT asked THEN NULL
        WHEN stands AND place = 1 THEN CASE WHEN decisive OR holder IS DISTINCT FROM profile_id THEN 'row' END
        WHEN stands THEN 'next'
        ${gone}
        WHEN holds IS NOT NULL THEN 'forget' END AS fate,
      sealed, known, decisive, NULL::text AS reason
    FROM ruled`;
}

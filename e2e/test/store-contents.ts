import { sql, type Database } from '@millrace/database';

/**
 * Everything the store knows of each profile of a workspace, as one canonical JSON text each, sorted. Only what differs
 * between two imports of the same data is left out: ids, versions and times of writing.
 */
export async function storeContents(database: Database, workspace: string): Promise<readonly string[]> {
  const { rows } = await database.query<{ profile: string }>(sql`
    SELECT jsonb_build_object(
      'properties', p.properties,
      'identities', (
        SELECT jsonb_agg(jsonb_build_array(n.code, i.value) ORDER BY n.code, i.value)
        FROM profile.identity i JOIN profile.identity_namespace n ON n.id = i.namespace_id WHERE i.profile_id = p.id),
      'consent', (SELECT jsonb_object_agg(c.objective, c.granted) FROM profile.consent c WHERE c.profile_id = p.id),
      'segments', (
        SELECT jsonb_object_agg(s.name, m.status)
        FROM profile.membership m JOIN profile.segment s ON s.id = m.segment_id WHERE m.profile_id = p.id),
      'events', (
        SELECT jsonb_agg(jsonb_build_object(
          'type', t.code, 'id', e.id, 'at', e.occurred_at, 'properties', e.properties, 'lists', e.lists) ORDER BY t.code, e.id)
        FROM profile.event e JOIN profile.event_type t ON t.id = e.event_type_id WHERE e.profile_id = p.id)
    )::text AS profile
    FROM profile.profile p JOIN profile.workspace w ON w.id = p.workspace_id
    WHERE w.name = ${workspace} ORDER BY 1`);
  return rows.map(({ profile }) => profile);
}

/** What only one of the two has, at most three of each: an assertion's message stays readable. */
export function differences(
  found: readonly string[],
  expected: readonly string[],
): { readonly missing: readonly string[]; readonly unexpected: readonly string[]; readonly counts: readonly number[] } {
  const without = (list: readonly string[], others: readonly string[]): string[] => {
    const counts = new Map<string, number>();
    for (const other of others) counts.set(other, (counts.get(other) ?? 0) + 1);
    return list.filter((each) => {
      const left = counts.get(each) ?? 0;
      counts.set(each, left - 1);
      return left <= 0;
    });
  };
  const missing = without(expected, found);
  const unexpected = without(found, expected);
  return {
    missing: missing.slice(0, 3),
    unexpected: unexpected.slice(0, 3),
    counts: [missing.length, unexpected.length],
  };
}

export const noDifferences = { missing: [], unexpected: [], counts: [0, 0] } as const;

/** A profile as a record on the stream should show it, without times. */
export interface StreamedState {
  readonly attributes: unknown;
  /** Segment name -> status. */
  readonly segments: Readonly<Record<string, string>>;
  /** Namespace -> values, sorted. */
  readonly identities: Readonly<Record<string, readonly string[]>>;
}

/** By profile id, the profiles that are in one of the workspace's segments. */
export async function streamableStates(
  database: Database,
  workspace: string,
  attributes: readonly string[],
): Promise<ReadonlyMap<string, StreamedState>> {
  const { rows } = await database.query<{ id: string; properties: string; segments: string; identities: string }>(sql`
    SELECT p.id, p.properties,
      (SELECT jsonb_object_agg(s.name, m.status)
        FROM profile.membership m JOIN profile.segment s ON s.id = m.segment_id WHERE m.profile_id = p.id) AS segments,
      (SELECT jsonb_object_agg(code, ids) FROM (
        SELECT n.code, jsonb_agg(i.value ORDER BY i.value) AS ids
        FROM profile.identity i JOIN profile.identity_namespace n ON n.id = i.namespace_id
        WHERE i.profile_id = p.id GROUP BY n.code) AS each) AS identities
    FROM profile.profile p JOIN profile.workspace w ON w.id = p.workspace_id
    WHERE w.name = ${workspace}
      AND EXISTS (SELECT FROM profile.membership m WHERE m.profile_id = p.id AND m.status = 'realized')`);
  return new Map(
    rows.map(({ id, properties, segments, identities }) => [
      id,
      {
        attributes: nested(JSON.parse(properties) as Record<string, unknown>, attributes),
        segments: JSON.parse(segments) as Record<string, string>,
        identities: JSON.parse(identities) as Record<string, string[]>,
      },
    ]),
  );
}

function nested(flat: Readonly<Record<string, unknown>>, names: readonly string[]): unknown {
  const root: Record<string, unknown> = {};
  for (const name of names) {
    if (flat[name] === undefined) continue;
    const path = name.split('.');
    let level = root;
    for (const step of path.slice(0, -1)) level = (level[step] ??= {}) as Record<string, unknown>;
    level[path.at(-1) ?? name] = flat[name];
  }
  return root;
}

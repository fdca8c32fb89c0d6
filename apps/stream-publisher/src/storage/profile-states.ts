import { sql, type Executor } from '@millrace/database';
import type { ProfileIdentity, ProfileMembership, ProfileState } from '../build-record/record-template.js';

// JSON text escapes control characters, so this one never occurs inside a value.
const separator = '\u001f';

interface StateRow {
  readonly id: string;
  readonly version: string;
  readonly attributes: string;
  readonly identities: string | null;
  readonly memberships: string | null;
  readonly consents: string | null;
}

/**
 * The present state of profiles of one workspace, each of one moment, by profile id; profiles that are gone are left out.
 * `properties` gives the order of `ProfileState.attributes`; consent is read where a goal asks for it.
 *
 * One text column per aspect, put together by PostgreSQL: arrays and JSON would cost the driver more to take apart than all the rest.
 */
export async function readProfileStates(
  executor: Executor,
  workspaceId: number,
  { properties, consent }: { readonly properties: readonly string[]; readonly consent: boolean },
  profileIds: readonly string[],
): Promise<ReadonlyMap<string, ProfileState>> {
  if (profileIds.length === 0) return new Map();
  const values = properties.map((name) => sql`(p.properties -> ${name}::text)::text`);
  const { rows } = await executor.query<StateRow>(sql`
    SELECT p.id, p.version,
      ${values.length === 0 ? sql`''` : sql`array_to_string(ARRAY[${sql.join(values)}], ${separator}, '')`} AS attributes,
      (SELECT string_agg(i.namespace_id || ':' || to_json(i.value), ${separator} ORDER BY i.namespace_id, i.value COLLATE "C")
       FROM profile.identity i WHERE i.profile_id = p.id) AS identities,
      (SELECT string_agg(
         m.segment_id || CASE m.status WHEN 'realized' THEN '+' ELSE '-' END || trunc(date_part('epoch', m.qualified_at) * 1000 + 0.0005)::bigint,
         ${separator} ORDER BY m.segment_id)
       FROM profile.membership m WHERE m.profile_id = p.id) AS memberships,
      ${
        consent
          ? sql`(SELECT string_agg(to_json(c.objective)::text, ${separator}) FROM profile.consent c WHERE c.profile_id = p.id AND c.granted)`
          : sql`NULL::text`
      } AS consents
    FROM unnest(${`{${profileIds.join(',')}}`}::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
      -- OFFSET 0 keeps this a look-up by key in the one partition concerned: a join may be planned as a scan of them all.
      SELECT * FROM profile.profile p WHERE p.id = wanted.id AND p.workspace_id = ${workspaceId} OFFSET 0
    ) AS p`);
  return new Map(rows.map((row) => [row.id, toState(row)]));
}

function toState(row: StateRow): ProfileState {
  return {
    profileId: row.id,
    version: row.version,
    attributes: row.attributes.split(separator),
    identities: row.identities === null ? [] : row.identities.split(separator).map(toIdentity),
    memberships: row.memberships === null ? [] : row.memberships.split(separator).map(toMembership),
    consents: row.consents === null ? [] : row.consents.split(separator).map((text) => JSON.parse(text) as string),
  };
}

function toIdentity(text: string): ProfileIdentity {
  const colon = text.indexOf(':');
  return { namespaceId: Number(text.slice(0, colon)), valueJson: text.slice(colon + 1) };
}

const idLength = 36;

function toMembership(text: string): ProfileMembership {
  return {
    segmentId: text.slice(0, idLength),
    status: text[idLength] === '+' ? 'realized' : 'exited',
    qualifiedAt: new Date(Number(text.slice(idLength + 1))).toISOString(),
  };
}

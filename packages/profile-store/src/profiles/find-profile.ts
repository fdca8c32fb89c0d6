import { sql, type Executor, type Sql } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { domainGroupOf, normaliseIdentifier, type Catalogue } from '@millrace/mapping';

const latestEvents = 50;

async function selectProfile(executor: Executor, workspaceId: number, condition: Sql): Promise<string | undefined> {
  const { rows } = await executor.query<{ document: string }>(sql`
    SELECT jsonb_build_object(
      'id', p.id,
      'version', p.version,
      'createdAt', to_char(p.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'updatedAt', to_char(p.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'domainGroup', (SELECT jsonb_build_object('id', d.public_id, 'name', d.name) FROM profile.domain_group d WHERE d.id = p.domain_group_id),
      'properties', p.properties,
      'identities', (SELECT coalesce(jsonb_agg(jsonb_build_object('namespace', n.code, 'value', i.value) ORDER BY n.code, i.value), '[]')
                     FROM profile.identity i JOIN profile.identity_namespace n ON n.id = i.namespace_id WHERE i.profile_id = p.id),
      'consent', (SELECT coalesce(jsonb_object_agg(c.objective, c.granted), '{}') FROM profile.consent c WHERE c.profile_id = p.id),
      'groups', (SELECT coalesce(jsonb_agg(jsonb_build_object('type', t.code, 'key', g.key, 'properties', g.properties) ORDER BY t.code, g.key), '[]')
                 FROM profile.group_member gm JOIN profile.group g ON g.id = gm.group_id JOIN profile.group_type t ON t.id = g.group_type_id
                 WHERE gm.profile_id = p.id),
      'segments', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name, 'status', m.status,
                      'lastQualificationTime', to_char(m.qualified_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) ORDER BY s.name), '[]')
                   FROM profile.membership m JOIN profile.segment s ON s.id = m.segment_id WHERE m.profile_id = p.id),
      'events', (SELECT coalesce(jsonb_agg(jsonb_build_object('type', e.code, 'id', e.id,
                    'occurredAt', to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                    'properties', e.properties, 'lists', e.lists) ORDER BY e.occurred_at DESC, e.id), '[]')
                 FROM (SELECT t.code, e.* FROM profile.event e JOIN profile.event_type t ON t.id = e.event_type_id
                       WHERE e.profile_id = p.id ORDER BY e.occurred_at DESC, e.id LIMIT ${latestEvents}) e)
    ) AS document
    FROM profile.profile p WHERE p.workspace_id = ${workspaceId} AND ${condition}`);
  return rows[0]?.document;
}

/** A profile with all that hangs on it (its latest 50 events), as JSON text with every digit kept, or undefined. Properties are flat. */
export async function profileById(executor: Executor, workspaceId: number, id: string): Promise<string | undefined> {
  return selectProfile(executor, workspaceId, sql`p.id = ${id}::uuid`);
}

export interface IdentityQuery {
  readonly namespace: string;
  readonly value: string;
  /** Absent: the workspace's default one. */
  readonly domainGroupId?: string | undefined;
}

/**
 * The same, found by an identity in one domain group, where it is one profile's at most; those that others have in other domain
 * groups do not count.
 * @throws InputError `namespace-not-found`, `domain-group-not-found`
 */
export async function findProfile(
  executor: Executor,
  catalogue: Catalogue,
  identity: IdentityQuery,
): Promise<string | undefined> {
  const found = sought(catalogue, identity);
  if (found === undefined) return undefined;
  return selectProfile(
    executor,
    catalogue.workspaceId,
    sql`p.id = (SELECT profile_id FROM profile.identity
      WHERE domain_group_id = ${domainGroupOf(catalogue, identity.domainGroupId)} AND namespace_id = ${found.namespaceId} AND value = ${found.value})`,
  );
}

/**
 * The domain groups in which a profile has the identity, by name.
 * @throws InputError `namespace-not-found`
 */
export async function domainGroupsWith(
  executor: Executor,
  catalogue: Catalogue,
  identity: IdentityQuery,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  const found = sought(catalogue, identity);
  if (found === undefined) return [];
  const groups = [...catalogue.domainGroups.values()].map(({ id }) => id);
  const { rows } = await executor.query<{ id: string; name: string }>(sql`
    SELECT d.public_id AS id, d.name FROM profile.domain_group d
    JOIN profile.identity i ON i.domain_group_id = d.id AND i.namespace_id = ${found.namespaceId} AND i.value = ${found.value}
    WHERE d.id = ANY (${groups}::int[]) ORDER BY d.name`);
  return rows;
}

/** Undefined where nothing is left of the value. */
function sought(
  catalogue: Catalogue,
  identity: IdentityQuery,
): { readonly namespaceId: number; readonly value: string } | undefined {
  const namespace = catalogue.namespaces.get(identity.namespace);
  if (namespace === undefined) {
    throw new InputError(
      'namespace-not-found',
      `the workspace has no identity namespace ${JSON.stringify(identity.namespace)}`,
      { at: 'namespace' },
    );
  }
  const value = normaliseIdentifier(identity.value, namespace.normalisation);
  return value === undefined ? undefined : { namespaceId: namespace.id, value };
}

export interface StoreStatistics {
  readonly profiles: number;
  readonly identities: number;
  readonly events: number;
  /** Elements of the events' nested lists. */
  readonly eventLines: number;
  readonly memberships: number;
}

/** Counts read from the store itself. Exact, and so as slow as counting is. */
export async function storeStatistics(executor: Executor, workspaceId: number): Promise<StoreStatistics> {
  const { rows } = await executor.query<StoreStatistics>(sql`
    SELECT
      (SELECT count(*)::float8 FROM profile.profile WHERE workspace_id = ${workspaceId}) AS profiles,
      (SELECT count(*)::float8 FROM profile.identity i JOIN profile.domain_group d ON d.id = i.domain_group_id
       WHERE d.workspace_id = ${workspaceId}) AS identities,
      e.events, e."eventLines",
      (SELECT count(*)::float8 FROM profile.membership m JOIN profile.segment s ON s.id = m.segment_id
       WHERE s.workspace_id = ${workspaceId} AND m.status = 'realized') AS memberships
    FROM (
      SELECT count(*)::float8 AS events,
        coalesce(sum((SELECT sum(jsonb_array_length(l.value)) FROM jsonb_each(e.lists) AS l)), 0)::float8 AS "eventLines"
      FROM profile.event e JOIN profile.event_type t ON t.id = e.event_type_id WHERE t.workspace_id = ${workspaceId}
    ) e`);
  return rows[0]!;
}

import { sql, type Transaction } from '@millrace/database';
import { InputError, TransientError } from '@millrace/domain';
import { domainGroupOf, normaliseIdentifier, type Catalogue } from '@millrace/mapping';
import { loadCatalogue } from '../definitions/load-catalogue.js';
import { lockDefinitions } from '../definitions/lock-definitions.js';
import { streamedProperties } from '../definitions/stream-targets.js';
import { evaluateSegments } from '../segments/evaluate-segments.js';
import { createTouched } from '../segments/touched.js';
import { writeOutbox } from '../segments/write-outbox.js';

export interface GroupUpdate {
  readonly type: string;
  readonly key: string;
  /** JSON object as text; replaces the properties named, keeps the others. */
  readonly properties: string;
  /** Profiles to link; those already linked stay. */
  readonly members: readonly { readonly namespace: string; readonly value: string }[];
  /** Where the members are looked up; absent: in the default one. */
  readonly domainGroupId?: string | undefined;
}

const makingRounds = 20;

/** Creates or updates a group and links profiles to it; their segments follow in the same transaction. Returns the members not found. */
export async function putGroup(
  tx: Transaction,
  catalogue: Catalogue,
  group: GroupUpdate,
): Promise<{ readonly unknownMembers: number }> {
  const { workspaceId } = catalogue;
  await lockDefinitions(tx, workspaceId, 'shared');
  await tx.query(
    sql`INSERT INTO profile.group_type (workspace_id, code) VALUES (${workspaceId}, ${group.type}) ON CONFLICT DO NOTHING`,
  );
  // Made and locked before its members are looked up: one that somebody else adds must be evaluated too.
  const ofType = sql`g.group_type_id = (SELECT id FROM profile.group_type WHERE workspace_id = ${workspaceId} AND code = ${group.type})`;
  let groupId: string | undefined;
  // One that was there may be erased before it is locked: then it is made again.
  for (let round = 0; groupId === undefined; round += 1) {
    if (round > makingRounds)
      throw new TransientError('group-erased', 'the group was erased again and again: try later');
    await tx.query(sql`
      INSERT INTO profile.group (group_type_id, key)
      SELECT id, ${group.key} FROM profile.group_type WHERE workspace_id = ${workspaceId} AND code = ${group.type}
      ON CONFLICT DO NOTHING`);
    const locked = await tx.query<{ id: string }>(
      sql`SELECT g.id FROM profile.group g WHERE ${ofType} AND g.key = ${group.key} FOR NO KEY UPDATE`,
    );
    groupId = locked.rows[0]?.id;
  }
  const wanted = group.members.map(({ namespace, value }, index) => {
    const found = catalogue.namespaces.get(namespace);
    if (found === undefined) {
      throw new InputError(
        'namespace-not-found',
        `the workspace has no identity namespace ${JSON.stringify(namespace)}`,
        { at: `members.${index}.namespace` },
      );
    }
    return { namespaceId: found.id, value: normaliseIdentifier(value, found.normalisation) ?? '' };
  });
  const members = await tx.query<{ id: string }>(sql`
    SELECT DISTINCT i.profile_id AS id FROM unnest(${wanted.map((member) => member.namespaceId)}::int[], ${wanted.map((member) => member.value)}::text[])
      AS w (namespace_id, value)
    JOIN profile.identity i ON i.domain_group_id = ${domainGroupOf(catalogue, group.domainGroupId)} AND i.namespace_id = w.namespace_id AND i.value = w.value`);
  const added = members.rows.map((row) => row.id);
  // Everyone whose segments may change is locked by id before anything is written.
  const present = await tx.query<{ id: string }>(
    sql`SELECT profile_id AS id FROM profile.group_member WHERE group_id = ${groupId}::uuid`,
  );
  const concerned = [...added, ...present.rows.map((row) => row.id)];
  const touched = await tx.query<{ id: string }>(
    sql`SELECT p.id FROM profile.profile p WHERE p.id = ANY (${concerned}::uuid[]) ORDER BY p.id FOR NO KEY UPDATE`,
  );
  await tx.query(sql`
    UPDATE profile.group SET properties = properties || ${group.properties}::jsonb, updated_at = now(), changed_xid = pg_current_xact_id()
    WHERE id = ${groupId}::uuid AND properties || ${group.properties}::jsonb <> properties`);
  await tx.query(sql`
    INSERT INTO profile.group_member (profile_id, group_id) SELECT id, ${groupId}::uuid FROM profile.profile WHERE id = ANY (${added}::uuid[]) ON CONFLICT DO NOTHING`);
  await createTouched(tx);
  await tx.query(sql`
    INSERT INTO touched (profile_id, outcome, version)
    SELECT id, 'n', version FROM profile.profile WHERE id = ANY (${touched.rows.map((row) => row.id)}::uuid[])`);
  // The caller's catalogue may be older than the lock.
  await evaluateSegments(tx, await loadCatalogue(tx, workspaceId));
  await writeOutbox(tx, workspaceId, (await streamedProperties(tx, workspaceId)) !== undefined);
  return { unknownMembers: wanted.length - added.length };
}

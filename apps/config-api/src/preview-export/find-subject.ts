import { sql, type Executor } from '@millrace/database';
import { domainGroupId, InputError } from '@millrace/domain';
import { domainGroupOf, normaliseIdentifier } from '@millrace/mapping';
import { loadCatalogue } from '@millrace/profile-store';
import { z } from 'zod';
import { checkDomainGroup } from '../read-profiles/check-namespaces.js';

export const explanationQuery = z
  .strictObject({
    profile: z.uuid().optional().describe('Id of the profile; or its identity'),
    namespace: z.string().min(1).optional(),
    value: z.string().min(1).max(1024).optional(),
    domainGroupId: domainGroupId.optional().describe('Where the identity is looked up; absent: in the default one'),
  })
  .refine(
    ({ profile, namespace, value }) =>
      profile === undefined
        ? namespace !== undefined && value !== undefined
        : namespace === undefined && value === undefined,
    'give either the id of a profile, or namespace and value of an identity',
  );
export type ExplanationQuery = z.infer<typeof explanationQuery>;

/**
 * The id of the profile that is asked about; by an identity also one that was erased, as its tombstone knows it.
 * @throws InputError `namespace-not-found`, `profile-not-found`
 */
export async function findSubject(
  executor: Executor,
  workspaceId: number,
  { profile, namespace: code = '', value = '', domainGroupId: named }: ExplanationQuery,
): Promise<string> {
  if (profile !== undefined) return profile;
  const catalogue = await loadCatalogue(executor, workspaceId);
  checkDomainGroup(catalogue, named);
  const group = domainGroupOf(catalogue, named);
  const namespace = catalogue.namespaces.get(code);
  if (namespace === undefined)
    throw new InputError('namespace-not-found', `the workspace has no identity namespace ${JSON.stringify(code)}`, {
      at: 'namespace',
    });
  const normalised = normaliseIdentifier(value, namespace.normalisation) ?? '';
  const { rows } = await executor.query<{ profile_id: string }>(sql`
    SELECT profile_id FROM profile.identity
    WHERE domain_group_id = ${group} AND namespace_id = ${namespace.id} AND value = ${normalised}
    UNION ALL
    (SELECT t.profile_id FROM profile.tombstone t CROSS JOIN profile.store
    WHERE t.domain_group_id = ${group} AND profile.identity_hash(store.tombstone_key, ${namespace.id}, ${normalised}) = ANY (t.identity_hashes)
    ORDER BY t.erased_at DESC)
    LIMIT 1`);
  const [row] = rows;
  if (row === undefined) throw new InputError('profile-not-found', 'no profile of this domain group has this identity');
  return row.profile_id;
}

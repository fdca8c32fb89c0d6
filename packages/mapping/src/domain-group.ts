import { InputError } from '@millrace/domain';
import type { Catalogue } from './catalogue.js';

/**
 * The domain group that is named, or the workspace's default one where none is, as rows name it.
 * @throws InputError `domain-group-not-found`
 */
export function domainGroupOf(
  { domainGroups, domainGroupId }: Pick<Catalogue, 'domainGroups' | 'domainGroupId'>,
  named: string | undefined,
): number {
  if (named === undefined) return domainGroupId;
  const found = domainGroups.get(named.toLowerCase());
  if (found !== undefined) return found.id;
  throw new InputError('domain-group-not-found', `the workspace has no domain group ${JSON.stringify(named)}`, {
    at: 'domainGroupId',
  });
}

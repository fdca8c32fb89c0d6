import { InputError } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import type { MergeShape } from './merge-shape.js';

/**
 * A domain group that is deleted holds no profiles, and shall get none: to be asked by the catalogue that is read under the shared
 * lock of the definitions.
 * @throws InputError `domain-group-not-found`
 */
export function expectDomainGroup({ domainGroupId }: MergeShape, { domainGroups }: Catalogue): void {
  if ([...domainGroups.values()].some(({ id }) => id === domainGroupId)) return;
  throw new InputError(
    'domain-group-not-found',
    'the domain group was deleted meanwhile: name another one for these profiles',
    { at: 'domainGroupId' },
  );
}
